#include "rtp/rtp.h"

/* RFC 3550, A.1, with more patience for late packets: at 1000 packets a second its 100 are a tenth of a
 * second. */
#define MAX_DROPOUT  3000
#define MAX_MISORDER MU_RTP_RX_SEEN
#define REPAIR_AHEAD \
	128 /* a sender that probes with repairs may repeat what we do not know to be missing yet */

/* A step of media time against arrival beyond this is a new time base, not jitter: it would take minutes to
 * decay. */
#define MAX_STEP_S 5

_Static_assert(MU_RTP_RX_SEEN % 64 == 0 && (MU_RTP_RX_SEEN & (MU_RTP_RX_SEEN - 1)) == 0,
	"whole words, a power of two");

void mu_rtp_rx_init(struct mu_rtp_rx *rx, uint32_t clock)
{
	*rx = (struct mu_rtp_rx){ .clock = clock };
}

static bool test_and_set(struct mu_rtp_rx *rx, uint64_t seq)
{
	uint64_t *word = &rx->seen[seq % MU_RTP_RX_SEEN / 64], bit = 1ull << seq % 64;
	bool was = *word & bit;

	*word |= bit;
	return was;
}

static void advance(struct mu_rtp_rx *rx, uint64_t seq)
{
	if (seq - rx->highest >= MU_RTP_RX_SEEN)
		memset(rx->seen, 0, sizeof(rx->seen));
	else
		for (uint64_t s = rx->highest + 1; s <= seq; s++)
			rx->seen[s % MU_RTP_RX_SEEN / 64] &= ~(1ull << s % 64);
	rx->highest = seq;
}

/* The number of a packet on the stream's own SSRC, 0 if it is not to be believed yet. Two packets in line far
 * from where we were: the sender started over. Its numbers go on above ours, so that those who sort by them
 * never see time run backwards, and the gap is nobody's loss. The first of the two is gone: what a single
 * stray would do to those who count missing numbers costs more than a packet. */
static uint64_t number(struct mu_rtp_rx *rx, uint16_t seq)
{
	uint64_t n = mu_seq_unwrap(rx->highest, seq);

	if (n > rx->highest ? n - rx->highest < MAX_DROPOUT : rx->highest - n < MAX_MISORDER) {
		rx->odd = false;
		return n;
	}
	if (!rx->odd || seq != rx->odd_next) {
		rx->odd = true;
		rx->odd_next = (uint16_t)(seq + 1);
		return 0;
	}
	rx->odd = false;
	n = rx->highest + (uint16_t)(seq - (uint16_t)rx->highest);
	rx->first += n - rx->highest - 1;
	return n;
}

/* The number of a repair, 0 if it repairs nothing: too old, too far ahead to be a lost tail, from before the
 * stream. */
static uint64_t number_repaired(const struct mu_rtp_rx *rx, uint16_t seq)
{
	uint64_t n = mu_seq_unwrap(rx->highest, seq);

	if (n > rx->highest)
		return n - rx->highest <= REPAIR_AHEAD ? n : 0;
	return rx->highest - n < MAX_MISORDER && n >= rx->first ? n : 0;
}

static uint32_t to_clock(int64_t us, uint32_t clock)
{
	uint64_t u = (uint64_t)us;

	return (uint32_t)(u / 1000000 * clock + u % 1000000 * clock / 1000000);
}

/* RFC 3550, A.8. A repaired packet says nothing about how regularly the network delivers. */
static void jitter(struct mu_rtp_rx *rx, uint32_t ts, int64_t arrival_us)
{
	uint32_t transit = to_clock(arrival_us, rx->clock) - ts, d = transit - rx->transit;
	bool first = !rx->timed;

	rx->transit = transit;
	rx->timed = true;
	if (d >> 31)
		d = -d;
	if (first || d > (uint64_t)MAX_STEP_S * rx->clock)
		return;
	rx->jitter_q4 += d - ((rx->jitter_q4 + 8) >> 4);
}

void mu_rtp_rx_set_clock(struct mu_rtp_rx *rx, uint32_t clock)
{
	if (rx->clock == clock)
		return;
	rx->clock = clock;
	rx->timed = false;
	rx->jitter_q4 = 0;
}

static void start(struct mu_rtp_rx *rx, uint16_t seq)
{
	rx->started = true;
	rx->first = 65536u + seq;
	rx->highest = rx->first - 1;
}

uint64_t mu_rtp_rx_packet(struct mu_rtp_rx *rx, uint16_t seq, uint32_t ts, size_t payload_len, bool repaired,
	int64_t arrival_us)
{
	bool duplicate;
	uint64_t n;

	if (!rx->started && !repaired)
		start(rx, seq);
	n = !rx->started ? 0 : repaired ? number_repaired(rx, seq) : number(rx, seq);
	if (n == 0)
		return 0;
	if (n > rx->highest)
		advance(rx, n);
	else if (!repaired)
		rx->reordered += n != rx->highest;
	duplicate = test_and_set(rx, n);
	if (duplicate && repaired)
		return 0;
	rx->duplicates += duplicate;
	rx->repaired += repaired;
	rx->packets++;
	rx->bytes += payload_len;
	if (!repaired)
		jitter(rx, ts, arrival_us);
	return n;
}

uint64_t mu_rtp_rx_lost(const struct mu_rtp_rx *rx)
{
	uint64_t expected = rx->started ? rx->highest - rx->first + 1 : 0, got = rx->packets - rx->duplicates;

	return expected > got ? expected - got : 0;
}

uint32_t mu_rtp_rx_jitter_us(const struct mu_rtp_rx *rx)
{
	return rx->clock ? (uint32_t)((rx->jitter_q4 >> 4) * 1000000 / rx->clock) : 0;
}

#include "secure/dtls_filter.h"

/* RFC 6347, section 4.1 (records) and 4.2.2 (handshake messages). */
#define RECORD_HEADER  13
#define MESSAGE_HEADER 12
enum { CHANGE_CIPHER_SPEC = 20, ALERT = 21, HANDSHAKE = 22, APPLICATION_DATA = 23 };
enum { WARNING = 1, FATAL = 2, CLOSE_NOTIFY = 0 };
enum {
	CLIENT_HELLO = 1,
	SERVER_HELLO = 2,
	HELLO_VERIFY_REQUEST = 3,
	NEW_SESSION_TICKET = 4,
	CERTIFICATE = 11,
	SERVER_KEY_EXCHANGE = 12,
	CERTIFICATE_REQUEST = 13,
	SERVER_HELLO_DONE = 14,
	CERTIFICATE_VERIFY = 15,
	CLIENT_KEY_EXCHANGE = 16,
	CERTIFICATE_STATUS = 22,
};

static bool message_fits(const struct mu_dtls_filter *f, uint8_t type, uint16_t seq)
{
	switch (type) {
	case CLIENT_HELLO:
		/* We send no HelloVerifyRequest, so the one ClientHello is message 0; a later one is refused
		 * renegotiation. */
		return f->server && seq == 0;
	case CLIENT_KEY_EXCHANGE:
	case CERTIFICATE_VERIFY:
		return f->server && f->engaged && seq > 0;
	case CERTIFICATE:
		return f->engaged && seq > 0;
	case SERVER_HELLO:
	case HELLO_VERIFY_REQUEST:
	case NEW_SESSION_TICKET:
	case SERVER_KEY_EXCHANGE:
	case CERTIFICATE_REQUEST:
	case SERVER_HELLO_DONE:
	case CERTIFICATE_STATUS:
		return !f->server && f->engaged;
	default:
		return false; /* Finished always comes encrypted */
	}
}

/** The messages, or fragments of them, in one record that is in the clear. */
static bool handshake_fits(const struct mu_dtls_filter *f, const uint8_t *p, size_t len)
{
	if (!len)
		return false;
	while (len) {
		uint32_t whole, at, part;

		if (len < MESSAGE_HEADER)
			return false;
		whole = mu_get24(p + 1);
		at = mu_get24(p + 6);
		part = mu_get24(p + 9);
		if (part > len - MESSAGE_HEADER || at > whole || part > whole - at || (!part && whole) ||
			!message_fits(f, p[0], mu_get16(p + 4)))
			return false;
		p += MESSAGE_HEADER + part;
		len -= MESSAGE_HEADER + part;
	}
	return true;
}

static bool clear_record_fits(const struct mu_dtls_filter *f, uint8_t type, const uint8_t *p, size_t len)
{
	switch (type) {
	case CHANGE_CIPHER_SPEC:
		return f->engaged && len == 1 && p[0] == 1;
	case ALERT:
		/* Warnings in the clear mean nothing, and OpenSSL gives up at the fifth. */
		return len == 2 && (p[0] == FATAL || (p[0] == WARNING && p[1] == CLOSE_NOTIFY));
	case HANDSHAKE:
		return handshake_fits(f, p, len);
	default:
		return false;
	}
}

static bool record_fits(struct mu_dtls_filter *f, const uint8_t *record, size_t len)
{
	uint16_t epoch = mu_get16(record + 3);
	uint8_t type = record[0];

	/* There is no renegotiation, so no epoch comes after 1. */
	if (f->up)
		return epoch == 1 && type >= CHANGE_CIPHER_SPEC && type <= APPLICATION_DATA;
	if (epoch == 0)
		return clear_record_fits(f, type, record + RECORD_HEADER, len);
	/* Finished, or an alert instead of it, may overtake the messages before it. */
	if (epoch != 1 || !f->engaged || (type != HANDSHAKE && type != ALERT) ||
		f->n_early == MU_DTLS_EARLY_MAX)
		return false;
	f->n_early++;
	return true;
}

size_t mu_dtls_filter(struct mu_dtls_filter *f, const uint8_t *data, size_t len, uint8_t *ret)
{
	size_t kept = 0;

	if (len > MU_DTLS_DATAGRAM_MAX)
		return 0;
	while (len >= RECORD_HEADER) {
		size_t size = mu_get16(data + 11);

		/* Major version of every DTLS; behind a record cut short nothing can be found. */
		if (data[1] != 0xfe || size > len - RECORD_HEADER)
			break;
		if (record_fits(f, data, size)) {
			memcpy(ret + kept, data, RECORD_HEADER + size);
			kept += RECORD_HEADER + size;
		}
		data += RECORD_HEADER + size;
		len -= RECORD_HEADER + size;
	}
	return kept;
}

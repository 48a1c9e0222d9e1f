/* What a run of a conference comes to. */
#include "load_conf.h"

static void report_cost(
	struct load *l, const struct conf_figures *f, const struct proc_sample at[4], json_t *r)
{
	unsigned n = l->o.members, tracks = n * (n - 1);
	double cpu = (double)(at[3].cpu_ns - at[2].cpu_ns), span = (double)(at[3].at_ns - at[2].at_ns);

	if (!at[3].at_ns || !at[2].at_ns)
		return;
	json_object_update_new(r,
		json_pack("{s:f, s:f, s:f}", "cpu_ns_per_packet",
			f->c.packets ? cpu / (double)f->c.packets : 0.0, "cpu_us_per_track_s",
			tracks ? cpu / span * 1e6 / tracks : 0.0, "server_cpu_share", cpu / span));
	json_object_update_new(r,
		json_pack("{s:i, s:i, s:f, s:i, s:i}", "rss_idle_kib", (int)at[0].rss_kib, "rss_kib",
			(int)at[3].rss_kib, "rss_kib_per_member", (double)(at[3].rss_kib - at[0].rss_kib) / n,
			"server_fds", at[3].fds, "server_threads", at[3].threads));
	json_object_set_new(r, "thread", stats_threads(&at[2], &at[3]));
}

static void report_media(struct load *l, const struct conf_figures *f, json_t *r)
{
	const struct conf_counts *c = &f->c;
	uint64_t expected = 0, got = l->c.unique + c->lost;
	double seconds = l->o.seconds;

	for (unsigned i = 0; i < l->o.members; i++)
		expected += (uint64_t)c->sent_frames[i] * (l->o.members - 1);
	json_object_update_new(r,
		json_pack("{s:I, s:I, s:f, s:f, s:f}", "received_unique", (json_int_t)l->c.unique, "lost",
			(json_int_t)c->lost, "loss_percent",
			got ? 100.0 * (double)c->lost / (double)got : 100.0, "packets_per_s",
			(double)c->packets / seconds, "mbit_per_s", (double)c->bytes * 8 / 1e6 / seconds));
	json_object_update_new(r,
		json_pack("{s:I, s:I, s:I, s:I, s:I, s:f, s:f}", "frames_expected", (json_int_t)expected,
			"frames_whole", (json_int_t)c->frames, "frames_thinned", (json_int_t)c->thinned,
			"frames_unsent", (json_int_t)c->unsent, "frames_broken", (json_int_t)c->broken,
			"whole_percent", expected ? 100.0 * (double)c->frames / (double)expected : 0.0,
			"thinned_percent", expected ? 100.0 * (double)c->thinned / (double)expected : 0.0));
	json_object_update_new(r,
		json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "wrong_track",
			(json_int_t)c->wrong_track, "mixed", (json_int_t)c->mixed, "cut", (json_int_t)c->cut,
			"no_key", (json_int_t)c->no_key, "picture_jumps", (json_int_t)c->picture_jumps,
			"time_jumps", (json_int_t)c->time_jumps, "backwards", (json_int_t)c->backwards,
			"ssrc_changes", (json_int_t)c->ssrc_changes, "unknown", (json_int_t)c->unknown));
	json_object_update_new(r,
		json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "duplicates",
			(json_int_t)l->c.duplicates, "replayed", (json_int_t)l->c.replayed, "bad",
			(json_int_t)l->c.bad, "recovered", (json_int_t)l->c.recovered, "nacked",
			(json_int_t)l->c.nacked, "resent", (json_int_t)l->c.resent, "key_requests",
			(json_int_t)l->c.key_requests, "asked_key", (json_int_t)l->c.asked_key, "late_sends",
			(json_int_t)l->c.late_sends, "audio_packets", (json_int_t)c->talked, "feedbacks",
			(json_int_t)c->feedbacks));
	json_object_set_new(r, "latency_ms", stats_hist_ms(&l->latency));
}

json_t *conf_report(struct load *l, const struct conf_figures *f, const struct proc_sample at[4],
	const uint64_t own_ns[2])
{
	unsigned n = l->o.members;
	json_t *r = json_pack("{s:s, s:s, s:i, s:i, s:i, s:i}", "mode", "conference", "profile",
		mu_srtp_profile_name(l->o.profile), "viewers", (int)n, "members", (int)n, "tracks",
		(int)(n * (n - 1)), "failures", (int)l->failures);

	for (unsigned i = 0; i < MU_MIN(l->failures, (unsigned)MU_ARRAY_LEN(l->first_failures)); i++) {
		if (!i)
			json_object_set_new(r, "failure", json_array());
		json_array_append_new(json_object_get(r, "failure"), json_string(l->first_failures[i]));
	}
	if (own_ns[1]) {
		report_media(l, f, r);
		report_cost(l, f, at, r);
		json_object_set_new(
			r, "own_cpu_share", json_real((double)(own_ns[1] - own_ns[0]) / 1e9 / l->o.seconds));
	}
	json_object_set_new(r, "tiles_ms", stats_hist_ms(&f->tiles));
	json_object_set_new(r, "storm_tiles_ms", stats_hist_ms(&f->storm_tiles));
	json_object_set_new(r, "speaker_ms", stats_hist_ms(&f->speaker));
	json_object_set_new(r, "larger_ms", stats_hist_ms(&f->larger));
	json_object_set_new(r, "smaller_ms", stats_hist_ms(&f->smaller));
	json_object_update_new(r,
		json_pack("{s:i, s:i, s:i, s:i, s:i}", "speaker_late", (int)f->speaker_late, "larger_late",
			(int)f->larger_late, "smaller_late", (int)f->smaller_late, "storm_asked",
			(int)f->storm_asked, "storm_asked_all", (int)f->storm_asked_all));
	return r;
}

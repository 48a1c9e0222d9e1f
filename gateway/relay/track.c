/* A track as the control thread makes it, and its references. */
#include <errno.h>
#include <stdlib.h>

#include "relay/relay_internal.h"

int mu_track_new(struct mu_net *net, unsigned home, const char *id, enum mu_kind kind, struct mu_track **ret)
{
	unsigned n = mu_net_workers(net);
	struct mu_track *t;

	if (home >= n)
		return -EINVAL;
	t = calloc(1, sizeof(*t) + n * sizeof(t->branches[0]));
	if (!t)
		return -ENOMEM;
	t->id = strdup(id);
	if (!t->id) {
		free(t);
		return -ENOMEM;
	}
	atomic_init(&t->refs, 1);
	t->kind = kind;
	t->home = mu_net_worker(net, home);
	t->n_branches = n;
	for (unsigned i = 0; i < n; i++) {
		struct branch *b = &t->branches[i];

		b->track = t;
		b->worker = mu_net_worker(net, i);
		mu_list_init(&b->sinks);
		mu_list_init(&b->dirty);
		b->wanted_note.msg.fn = home_set_wanted;
		b->key_note.msg.fn = home_ask_key_msg;
		b->wish_note.msg.fn = home_wish_key_msg;
	}
	mu_list_init(&t->handing);
	*ret = t;
	return 0;
}

struct mu_track *mu_track_ref(struct mu_track *t)
{
	atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
	return t;
}

struct mu_track *mu_track_unref(struct mu_track *t)
{
	if (!t || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1)
		return NULL;
	for (unsigned i = 0; i < t->n_branches; i++) {
		branch_forget_pending(&t->branches[i]);
		branch_settle(&t->branches[i]);
		cache_done(&t->branches[i].cache);
		formats_unref(t->branches[i].formats);
	}
	mu_dd_free(t->dd);
	free(t->id);
	free(t);
	return NULL;
}

const char *mu_track_id(const struct mu_track *t)
{
	return t->id;
}

enum mu_kind mu_track_kind(const struct mu_track *t)
{
	return t->kind;
}

struct mu_worker *mu_track_home(const struct mu_track *t)
{
	return t->home;
}

struct formats *formats_new(const struct mu_format *f, size_t n, unsigned version, bool keep_gop)
{
	struct formats *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	atomic_init(&r->refs, 1);
	r->version = version;
	r->keep_gop = keep_gop;
	r->n = (unsigned)MU_MIN(n, (size_t)MU_FORMATS_MAX);
	memcpy(r->f, f, r->n * sizeof(*f));
	return r;
}

struct formats *formats_ref(struct formats *f)
{
	if (f)
		atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
	return f;
}

void formats_unref(struct formats *f)
{
	if (f && atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) == 1)
		free(f);
}

/* Numbers for a viewer's stream. A viewer takes a hole for a loss, so what is left out on purpose must leave
 * none; and what it asks for again must be found by the number it knows. Both go by runs: stretches of a
 * source that go out one behind the other. */
#include "adapt/adapt.h"

static struct mu_run *newest(struct mu_renumber *r)
{
	return &r->runs[(r->n - 1) % MU_RUNS];
}

static void begin(struct mu_renumber *r, unsigned source, uint64_t seq, uint64_t out)
{
	r->n++;
	*newest(r) = (struct mu_run){ .first = seq, .end = seq, .out = out, .source = source };
}

void mu_renumber_init(struct mu_renumber *r, unsigned source, uint64_t seq, uint64_t out)
{
	r->n = 0;
	begin(r, source, seq, out);
}

void mu_renumber_switch(struct mu_renumber *r, unsigned source, uint64_t seq)
{
	const struct mu_run *run = newest(r);
	uint64_t out = run->out + (run->end - run->first);

	begin(r, source, seq, out);
}

/* The run that holds a number of a source, the newest first. The newest has no end. */
static struct mu_run *run_of(struct mu_renumber *r, unsigned source, uint64_t seq)
{
	struct mu_run *run = newest(r);

	if (run->source == source && seq >= run->first)
		return run;
	for (uint64_t i = 2; i <= MU_MIN(r->n, (uint64_t)MU_RUNS); i++) {
		run = &r->runs[(r->n - i) % MU_RUNS];
		if (run->source == source && seq >= run->first && seq < run->end)
			return run;
	}
	return NULL;
}

bool mu_renumber_pass(struct mu_renumber *r, unsigned source, uint64_t seq, uint64_t *ret)
{
	struct mu_run *run = run_of(r, source, seq);

	if (!run)
		return false;
	*ret = run->out + (seq - run->first);
	run->end = MU_MAX(run->end, seq + 1);
	return true;
}

bool mu_renumber_drop(struct mu_renumber *r, unsigned source, uint64_t seq)
{
	struct mu_run *run = run_of(r, source, seq);

	if (!run)
		return true;
	if (seq < run->end)
		return false;
	if (seq == run->first) {
		run->first = run->end = seq + 1; /* nothing of this run went out yet */
		return true;
	}
	run->end = seq; /* with those missing before it */
	begin(r, source, seq + 1, run->out + (seq - run->first));
	return true;
}

bool mu_renumber_find(const struct mu_renumber *r, uint64_t out, unsigned *ret_source, uint64_t *ret_seq)
{
	for (uint64_t i = 1; i <= MU_MIN(r->n, (uint64_t)MU_RUNS); i++) {
		const struct mu_run *run = &r->runs[(r->n - i) % MU_RUNS];

		if (out >= run->out && out - run->out < run->end - run->first) {
			*ret_source = run->source;
			*ret_seq = run->first + (out - run->out);
			return true;
		}
	}
	return false;
}

/*
 * answers.c - error stanzas on their way to senders.
 *
 * An error's addresses are its stanza's, exchanged, so the link is the opposite
 * of the one by which that came. There is never an error for an error
 * (stanza_error() makes none).
 *
 * Owns what is under way; the link's delivery callback ends it. Nothing is fatal:
 * if even an error cannot be delivered, the log is all that is left.
 */
#include "bridge/route/answers.h"

#include <stdlib.h>

#include "bridge/core/log.h"

struct answers {
	struct s2s *s2s;
	struct duplicates *duplicates;
	uint64_t sent, failed;
};

struct telling {
	struct answers *answers;
	bool again;
	told_fn *done;
	void *ctx;
};

struct answers *answers_create(struct s2s *s2s)
{
	struct answers *a = xcalloc(1, sizeof(*a));

	a->s2s = s2s;
	return a;
}

void answers_destroy(struct answers *a)
{
	free(a);
}

void answers_set_duplicates(struct answers *a, struct duplicates *duplicates)
{
	a->duplicates = duplicates;
}

void answers_note(struct answers *a, const struct stanza *stanza, const struct outcome *outcome)
{
	a->failed++;
	log_event(LOG_WARNING, "error-undeliverable", NULL, "to=%s condition=%s why=%s",
		  log_value(stanza->to), condition_name(outcome->condition), log_value(outcome->text));
}

static bool is_for_later(const struct telling *t, const struct outcome *outcome)
{
	if (outcome->confirmed)
		return false;
	return s2s_is_stopping(t->answers->s2s) ||
	       (t->again && outcome->unsent && outcome->condition == COND_RESOURCE_CONSTRAINT);
}

static void on_delivered(void *ctx, struct stanza *stanza, const struct outcome *outcome)
{
	struct telling *t = ctx;
	bool over = !is_for_later(t, outcome);

	if (over && !outcome->confirmed)
		answers_note(t->answers, stanza, outcome);
	t->done(t->ctx, over);
	free(t);
}

/*
 * Presence that only tells a state is superseded by the next one and gets no
 * error; a subscription request or answer that went nowhere must be known.
 */
static bool wants_error(const struct stanza *stanza)
{
	return stanza->kind != STANZA_PRESENCE ||
	       (stanza->type && !stanza_has_type(stanza, "unavailable") && !stanza_has_type(stanza, "probe"));
}

void answers_send(struct answers *a, const struct answer *what, told_fn *done, void *ctx)
{
	const struct outcome *o = what->outcome;
	struct stanza *error =
		wants_error(what->stanza) ? stanza_error(what->stanza, o->condition, o->text, o->uri) : NULL;
	struct telling *t;
	struct jid from, to;

	if (!error || jid_parse(error->from, &from) != OK || jid_parse(error->to, &to) != OK) {
		stanza_unref(error);
		done(ctx, true);
		return;
	}
	a->sent++;
	duplicates_forget(a->duplicates, &to, error->id);
	t = xcalloc(1, sizeof(*t));
	*t = (struct telling){ a, what->again, done, ctx };
	s2s_send(a->s2s, what->edge, from.domain, to.domain, error, 0, on_delivered, t);
	stanza_unref(error);
}

uint64_t answers_sent(const struct answers *a)
{
	return a->sent;
}

uint64_t answers_failed(const struct answers *a)
{
	return a->failed;
}

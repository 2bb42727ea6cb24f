/*
 * map_error.c - stanza error conditions to SIP status codes and back: tables 2
 * and 3 of RFC 7247 section 7, as tables.
 *
 * The two do not round-trip, and are not meant to. Where the RFC leaves a
 * choice, the row says which was made. Pure. Nothing is fatal.
 */
#include "bridge/gateway/map.h"

/* Table 2: the status for an error about a full JID, and about a bare one. */
static const struct {
	unsigned full, bare;
} status_of[CONDITIONS] = {
	[COND_BAD_REQUEST] = { 400, 400 },
	[COND_CONFLICT] = { 400, 400 },
	[COND_FEATURE_NOT_IMPLEMENTED] = { 405, 501 },
	[COND_FORBIDDEN] = { 403, 603 },
	[COND_GONE] = { 410, 410 }, /* 301 with the new address */
	[COND_INTERNAL_SERVER_ERROR] = { 500, 500 },
	[COND_ITEM_NOT_FOUND] = { 404, 604 },
	[COND_JID_MALFORMED] = { 400, 400 },
	[COND_NOT_ACCEPTABLE] = { 406, 606 },
	[COND_NOT_ALLOWED] = { 403, 403 },
	[COND_NOT_AUTHORIZED] = { 401, 401 },
	[COND_POLICY_VIOLATION] = { 403, 403 },
	[COND_RECIPIENT_UNAVAILABLE] = { 480, 600 },
	[COND_REDIRECT] = { 302, 302 },
	[COND_REGISTRATION_REQUIRED] = { 407, 407 },
	/* 404 for "does not exist", 408 for "cannot be resolved": the stanza does not say which. */
	[COND_REMOTE_SERVER_NOT_FOUND] = { 404, 404 },
	[COND_REMOTE_SERVER_TIMEOUT] = { 408, 408 },
	[COND_RESOURCE_CONSTRAINT] = { 500, 500 },
	/* Note 5: 403 or 405 come closest; 405 would have to say which methods are allowed. Never 503. */
	[COND_SERVICE_UNAVAILABLE] = { 403, 403 },
	[COND_SUBSCRIPTION_REQUIRED] = { 400, 400 },
	[COND_UNDEFINED_CONDITION] = { 400, 400 },
	[COND_UNEXPECTED_REQUEST] = { 491, 491 }, /* or 400 */
};

unsigned map_condition_to_status(enum condition c, bool to_full_jid, bool has_uri)
{
	if (c == COND_GONE && has_uri)
		return 301;
	return to_full_jid ? status_of[c].full : status_of[c].bare;
}

/* Table 3. 301 without a new address is like 410. */
static const struct {
	unsigned status;
	enum condition condition;
} condition_of[] = {
	{ 300, COND_REDIRECT },
	{ 301, COND_GONE },
	{ 302, COND_REDIRECT },
	{ 305, COND_REDIRECT },
	{ 380, COND_NOT_ACCEPTABLE },
	{ 400, COND_BAD_REQUEST },
	{ 401, COND_NOT_AUTHORIZED },
	{ 402, COND_BAD_REQUEST },
	{ 403, COND_FORBIDDEN },
	{ 404, COND_ITEM_NOT_FOUND },
	{ 405, COND_FEATURE_NOT_IMPLEMENTED },
	{ 406, COND_NOT_ACCEPTABLE },
	{ 407, COND_REGISTRATION_REQUIRED },
	{ 408, COND_REMOTE_SERVER_TIMEOUT },
	{ 410, COND_GONE },
	{ 413, COND_POLICY_VIOLATION },
	{ 414, COND_POLICY_VIOLATION },
	{ 415, COND_NOT_ACCEPTABLE },
	{ 416, COND_NOT_ACCEPTABLE },
	{ 420, COND_FEATURE_NOT_IMPLEMENTED },
	{ 421, COND_NOT_ACCEPTABLE },
	{ 423, COND_RESOURCE_CONSTRAINT },
	{ 430, COND_RECIPIENT_UNAVAILABLE },
	{ 439, COND_FEATURE_NOT_IMPLEMENTED },
	{ 440, COND_POLICY_VIOLATION },
	{ 480, COND_RECIPIENT_UNAVAILABLE },
	{ 481, COND_ITEM_NOT_FOUND },
	{ 482, COND_NOT_ACCEPTABLE },
	{ 483, COND_NOT_ACCEPTABLE },
	{ 484, COND_ITEM_NOT_FOUND },
	{ 485, COND_ITEM_NOT_FOUND },
	{ 486, COND_RECIPIENT_UNAVAILABLE },
	{ 487, COND_RECIPIENT_UNAVAILABLE },
	{ 488, COND_NOT_ACCEPTABLE },
	{ 489, COND_POLICY_VIOLATION },
	{ 491, COND_UNEXPECTED_REQUEST },
	{ 493, COND_BAD_REQUEST },
	{ 500, COND_INTERNAL_SERVER_ERROR },
	{ 501, COND_FEATURE_NOT_IMPLEMENTED },
	{ 502, COND_REMOTE_SERVER_NOT_FOUND },
	{ 503, COND_INTERNAL_SERVER_ERROR },
	{ 504, COND_REMOTE_SERVER_TIMEOUT },
	{ 505, COND_NOT_ACCEPTABLE },
	{ 513, COND_POLICY_VIOLATION },
	{ 600, COND_RECIPIENT_UNAVAILABLE },
	{ 603, COND_RECIPIENT_UNAVAILABLE },
	{ 604, COND_ITEM_NOT_FOUND },
	{ 606, COND_NOT_ACCEPTABLE },
};

/* For the codes of a class that have no row. */
static enum condition condition_of_class(unsigned status)
{
	switch (status / 100) {
	case 3:
		return COND_REDIRECT;
	case 4:
		return COND_BAD_REQUEST;
	case 5:
		return COND_INTERNAL_SERVER_ERROR;
	case 6:
		return COND_RECIPIENT_UNAVAILABLE;
	default:
		return COND_UNDEFINED_CONDITION;
	}
}

/*
 * <redirect/> must name the new address (RFC 6120 section 8.3.3.14): without
 * one, all that is known is that the user is not at the old address.
 */
enum condition map_status_to_condition(unsigned status, bool has_uri)
{
	enum condition c = condition_of_class(status);

	for (size_t i = 0; i < ARRAY_SIZE(condition_of); i++)
		if (condition_of[i].status == status)
			c = condition_of[i].condition;
	return c == COND_REDIRECT && !has_uri ? COND_RECIPIENT_UNAVAILABLE : c;
}

bool map_status_is(unsigned status, const unsigned *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (list[i] == status)
			return true;
	return false;
}

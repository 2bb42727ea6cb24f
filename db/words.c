/*
 * words.c - the words that the registry stores and the commands take, as enums
 * and back. One table for each; the schema's CHECK constraints list the same
 * words, and a test holds the two together.
 *
 * Parsing is exact: upper case or another word is ERR_SYNTAX.
 */
#include "db/registry.h"

#include <string.h>

static const char *const phases[] = {
	[PHASE_LEGACY] = "legacy",
	[PHASE_COEXIST] = "coexist",
	[PHASE_MIGRATED] = "migrated",
};
static const char *const unlisteds[] = {
	[UNLISTED_LEGACY] = "legacy",
	[UNLISTED_MIGRATED] = "migrated",
	[UNLISTED_REJECT] = "reject",
};
static const char *const marks[] = {
	[MARK_LEGACY] = "legacy",
	[MARK_MOVING] = "moving",
	[MARK_MIGRATED] = "migrated",
};
static const char *const gateways[] = {
	[GATEWAY_LEGACY] = "legacy",
	[GATEWAY_BY_USER] = "by-user",
	[GATEWAY_BRIDGE] = "bridge",
	[GATEWAY_BLOCKED] = "blocked",
};
static const char *const types[] = {
	[PARTNER_FEDERATED] = "federated",
	[PARTNER_PUBLIC_VERIFIED] = "public-verified",
	[PARTNER_PUBLIC_UNVERIFIED] = "public-unverified",
};
static const char *const requirements[] = {
	[REQUIRE_NONE] = "none",
	[REQUIRE_OPTIONAL] = "optional",
	[REQUIRE_REQUIRED] = "required",
};

const char *phase_name(enum phase v)
{
	return phases[v];
}

const char *unlisted_name(enum unlisted v)
{
	return unlisteds[v];
}

const char *mark_name(enum mark v)
{
	return marks[v];
}

const char *partner_gateway_name(enum partner_gateway v)
{
	return gateways[v];
}

const char *partner_type_name(enum partner_type v)
{
	return types[v];
}

const char *requirement_name(enum requirement v)
{
	return requirements[v];
}

static enum err find(const char *const *table, size_t count, const char *s, unsigned *out)
{
	for (unsigned i = 0; s && i < count; i++)
		if (strcmp(table[i], s) == 0) {
			*out = i;
			return OK;
		}
	return ERR_SYNTAX;
}

enum err phase_parse(const char *s, enum phase *out)
{
	return find(phases, ARRAY_SIZE(phases), s, out);
}

enum err unlisted_parse(const char *s, enum unlisted *out)
{
	return find(unlisteds, ARRAY_SIZE(unlisteds), s, out);
}

enum err mark_parse(const char *s, enum mark *out)
{
	return find(marks, ARRAY_SIZE(marks), s, out);
}

enum err partner_gateway_parse(const char *s, enum partner_gateway *out)
{
	return find(gateways, ARRAY_SIZE(gateways), s, out);
}

enum err partner_type_parse(const char *s, enum partner_type *out)
{
	return find(types, ARRAY_SIZE(types), s, out);
}

enum err requirement_parse(const char *s, enum requirement *out)
{
	return find(requirements, ARRAY_SIZE(requirements), s, out);
}

/*
 * config_options.c - the one table of options. A new option is a row here, a
 * member of struct config, and a paragraph of man/poolbridge.conf.5, which
 * tests/unit/test_manpages compares with this table.
 *
 * Every number has a maximum, far below 2^31: it keeps a slip of the finger (a 0
 * too many) from becoming gigabytes, and libconfig 1.5 cuts a number down to 32
 * bits without a word, so that 10000000000 comes as 1410065408.
 */
#include "bridge/core/config.h"

#include <string.h>

#include "bridge/core/config_internal.h"
#include "bridge/core/nearest.h"

#define AT(member) offsetof(struct config, member)

/* One option, three lines. */
/* clang-format off */
static const struct config_option options[] = {
	{ "registry", CONFIG_PATH, NULL, 0, 0, NULL,
	  "The registry's SQLite file, made at first use.",
	  AT(registry) },
	{ "state", CONFIG_PATH, "", 0, 0, NULL,
	  "The SQLite file in which the daemon keeps what it must remember; empty: the registry's path with .state added.",
	  AT(state) },
	{ "control_socket", CONFIG_PATH, "", 0, 0, NULL,
	  "The Unix socket on which poolbridgectl talks to the daemon; empty: the registry's path with .sock added.",
	  AT(control_socket) },
	{ "log_level", CONFIG_CHOICE, "info", 0, 0, "error warning notice info debug",
	  "The least important events that are still written to the log.",
	  AT(log_level) },

	{ "external.listen", CONFIG_STRINGS, "0.0.0.0:5269", 0, 0, NULL,
	  "The addresses (ADDRESS:PORT) on which partners' servers connect; an empty list: none.",
	  AT(external.listen) },
	{ "external.certificate", CONFIG_PATH, "", 0, 0, NULL,
	  "The PEM file with the certificate chain, leaf first; empty: no TLS is offered.",
	  AT(external.certificate) },
	{ "external.key", CONFIG_PATH, "", 0, 0, NULL,
	  "The PEM file with the certificate's private key.",
	  AT(external.key) },
	{ "external.listen_tls", CONFIG_STRINGS, "", 0, 0, NULL,
	  "The addresses (ADDRESS:PORT) for streams that begin with TLS (SRV _xmpps-server); an empty list: none.",
	  AT(external.listen_tls) },
	{ "external.certificates", CONFIG_PATH, "", 0, 0, NULL,
	  "A folder with DOMAIN.crt and DOMAIN.key for local domains with a certificate of their own.",
	  AT(external.certificates) },
	{ "external.ca", CONFIG_PATH, "", 0, 0, NULL,
	  "The trusted certificate authorities: a PEM file, or a folder made by openssl rehash; empty: the system's.",
	  AT(external.ca) },
	{ "external.certificate_usage", CONFIG_CHOICE, "any", 0, 0, "any client",
	  "Whether a partner's certificate must be made for clients too when its server connects to us.",
	  AT(external.certificate_usage) },
	{ "external.bind", CONFIG_STRING, "", 0, 0, NULL,
	  "The address from which connections to partners are made; empty: the system chooses.",
	  AT(external.bind) },

	{ "component.server", CONFIG_STRING, "", 0, 0, NULL,
	  "The XMPP server (HOST:PORT) to which we attach as a component, instead of facing partners; empty: none.",
	  AT(component.server) },
	{ "component.domain", CONFIG_STRING, "", 0, 0, NULL,
	  "The local domain that the server gives to the component.",
	  AT(component.domain) },
	{ "component.secret", CONFIG_STRING, "", 0, 0, NULL,
	  "The secret that the server knows the component by.",
	  AT(component.secret) },

	{ "internal.listen", CONFIG_STRINGS, "", 0, 0, NULL,
	  "The addresses (ADDRESS:PORT) on which the legacy gateway connects; an empty list: no legacy gateway.",
	  AT(internal.listen) },
	{ "internal.allow", CONFIG_STRINGS, "", 0, 0, NULL,
	  "The addresses from which the legacy gateway may connect; an empty list: any.",
	  AT(internal.allow) },
	{ "internal.gateway", CONFIG_STRING, "", 0, 0, NULL,
	  "The legacy XMPP gateway (HOST:PORT); empty: there is none.",
	  AT(internal.gateway) },
	{ "internal.bind", CONFIG_STRING, "", 0, 0, NULL,
	  "The address from which connections to the legacy gateway are made; empty: the system chooses.",
	  AT(internal.bind) },
	{ "internal.tls", CONFIG_CHOICE, "optional", 0, 0, "none optional required",
	  "Whether streams with the legacy gateway are encrypted.",
	  AT(internal.tls) },

	{ "dialback.secret", CONFIG_STRING, "", 0, 0, NULL,
	  "The secret of the dialback keys, at least 16 characters; empty: a random one at each start.",
	  AT(dialback.secret) },

	{ "dns.resolver", CONFIG_STRING, "", 0, 0, NULL,
	  "The DNS server to ask (ADDRESS or ADDRESS@PORT); empty: those of /etc/resolv.conf.",
	  AT(dns.resolver) },
	{ "dns.transparent_zones", CONFIG_STRINGS, "", 0, 0, NULL,
	  "Special-use zones (such as test or home.arpa) that are asked for all the same.",
	  AT(dns.transparent_zones) },
	{ "dns.timeout", CONFIG_SECONDS, "10", 0.1, 120, NULL,
	  "How long a look-up may take.",
	  AT(dns.timeout_ms) },

	{ "dns.trust_anchor", CONFIG_PATH, "", 0, 0, NULL,
	  "A file with the trust anchor (DS or DNSKEY records) of DNSSEC; empty: nothing is validated, no DANE.",
	  AT(dns.trust_anchor) },

	{ "sip.listen", CONFIG_STRINGS, "", 0, 0, NULL,
	  "The addresses (udp:, tcp: or tls:ADDRESS:PORT) on which pools connect; an empty list: no SIP.",
	  AT(sip.listen) },
	{ "sip.allow", CONFIG_STRINGS, "", 0, 0, NULL,
	  "The addresses from which SIP requests are taken; an empty list: the hosts of new_pool and legacy_pool.",
	  AT(sip.allow) },
	{ "sip.new_pool", CONFIG_STRINGS, "", 0, 0, NULL,
	  "The next hops to the new pool (sip:HOST[:PORT];transport=udp, tcp or tls), the best first.",
	  AT(sip.new_pool) },
	{ "sip.legacy_pool", CONFIG_STRINGS, "", 0, 0, NULL,
	  "The next hops to the legacy pool, likewise.",
	  AT(sip.legacy_pool) },
	{ "sip.certificate", CONFIG_PATH, "", 0, 0, NULL,
	  "The PEM file with the certificate chain that pools are shown, leaf first; empty: external.certificate.",
	  AT(sip.certificate) },
	{ "sip.key", CONFIG_PATH, "", 0, 0, NULL,
	  "The PEM file with that certificate's private key; empty: external.key.",
	  AT(sip.key) },
	{ "sip.ca", CONFIG_PATH, "", 0, 0, NULL,
	  "The certificate authorities trusted for pools: a PEM file, or a hashed folder; empty: as external.ca says.",
	  AT(sip.ca) },
	{ "sip.tls_names", CONFIG_STRINGS, "", 0, 0, NULL,
	  "The names one of which a connecting pool's certificate must have; an empty list: the next hops' hosts.",
	  AT(sip.tls_names) },
	{ "sip.ping_time", CONFIG_SECONDS, "30", 0, 3600, NULL,
	  "A next hop that was not heard of for so long is asked whether it is there (OPTIONS); 0: never.",
	  AT(sip.ping_ms) },
	{ "sip.backoff_min", CONFIG_SECONDS, "1", 0.1, 3600, NULL,
	  "How long a next hop rests after its first failure; it doubles with each further one.",
	  AT(sip.backoff_min_ms) },
	{ "sip.backoff_max", CONFIG_SECONDS, "60", 0.1, 3600, NULL,
	  "The longest rest of a next hop, also when it asks for a longer one (Retry-After).",
	  AT(sip.backoff_max_ms) },
	{ "sip.message_bytes", CONFIG_INT, "65536", 1300, 1048576, NULL,
	  "The largest body of a SIP message that is taken; its header may have 500 lines and 32 KiB.",
	  AT(sip.message_bytes) },
	{ "sip.answer_time", CONFIG_SECONDS, "8", 0.1, 31, NULL,
	  "A SIP MESSAGE from a pool is answered within this time.",
	  AT(sip.answer_ms) },
	{ "sip.queue_messages", CONFIG_INT, "100", 1, 100000, NULL,
	  "How many messages of one sender to one recipient may wait for the pool.",
	  AT(sip.queue_messages) },
	{ "sip.queue_total", CONFIG_INT, "10000", 1, 1000000, NULL,
	  "How many messages in all may wait for the pools, and how many requests of the pools for their answers.",
	  AT(sip.queue_total) },
	{ "sip.udp_remembered", CONFIG_INT, "20000", 0, 1000000, NULL,
	  "How many requests by UDP are taken within 32 seconds, as long as each is remembered, and how many INVITEs by TCP "
	  "and TLS may be without an ACK; 0: any number.",
	  AT(sip.udp_remembered) },
	{ "sip.new_pool_mode", CONFIG_CHOICE, "auto", 0, 0, "auto session pager",
	  "How messages go to the new pool: in IM sessions, each by itself (pager), or as each user's client takes them.",
	  AT(sip.new_pool_mode) },
	{ "sip.legacy_pool_mode", CONFIG_CHOICE, "auto", 0, 0, "auto session pager",
	  "The same for the legacy pool.",
	  AT(sip.legacy_pool_mode) },
	{ "sip.session_time", CONFIG_SECONDS, "600", 1, 86400, NULL,
	  "An IM session ends after this time without a message.",
	  AT(sip.session_ms) },
	{ "sip.invite_time", CONFIG_SECONDS, "60", 1, 180, NULL,
	  "How long a user of a pool may take to accept an IM session.",
	  AT(sip.invite_ms) },
	{ "sip.conversations", CONFIG_INT, "10000", 100, 1000000, NULL,
	  "How many conversations are remembered; beyond it, the one used longest ago is forgotten, and its session ends.",
	  AT(sip.conversations) },

	{ "s2s.stanza_bytes", CONFIG_INT, "65536", 10000, 16777216, NULL,
	  "The largest stanza that is taken.",
	  AT(s2s.stanza_bytes) },
	{ "s2s.depth", CONFIG_INT, "64", 8, 1000, NULL,
	  "How deeply elements may be nested in a stanza.",
	  AT(s2s.depth) },
	{ "s2s.elements", CONFIG_INT, "2000", 16, 100000, NULL,
	  "How many elements a stanza may have.",
	  AT(s2s.elements) },
	{ "s2s.attributes", CONFIG_INT, "64", 8, 1000, NULL,
	  "How many attributes an element may have.",
	  AT(s2s.attributes) },
	{ "s2s.streams", CONFIG_INT, "1000", 1, 100000, NULL,
	  "How many streams may be open in all; at most half of them unauthenticated ones from outside.",
	  AT(s2s.streams) },
	{ "s2s.streams_per_partner", CONFIG_INT, "20", 1, 10000, NULL,
	  "How many authenticated streams one partner may have open to us.",
	  AT(s2s.streams_per_partner) },
	{ "s2s.streams_per_address", CONFIG_INT, "100", 1, 100000, NULL,
	  "How many streams may come in from one address.",
	  AT(s2s.streams_per_address) },
	{ "s2s.streams_unauthenticated", CONFIG_INT, "500", 1, 100000, NULL,
	  "How many streams may be open that have not yet proved a pair of domains.",
	  AT(s2s.streams_unauthenticated) },
	{ "s2s.stanza_rate", CONFIG_INT, "5000", 1, 1000000, NULL,
	  "How many stanzas a second are read from one partner in the long run; beyond it, reading waits.",
	  AT(s2s.stanza_rate) },
	{ "s2s.stanza_burst", CONFIG_INT, "10000", 1, 1000000, NULL,
	  "How many stanzas may be read from one partner at once, after silence.",
	  AT(s2s.stanza_burst) },
	{ "s2s.pairs_per_stream", CONFIG_INT, "50", 1, 10000, NULL,
	  "How many pairs of domains one stream may carry.",
	  AT(s2s.pairs_per_stream) },
	{ "s2s.window_bytes", CONFIG_INT, "1048576", 65536, 67108864, NULL,
	  "How many bytes of one stream's stanzas may be unfinished: with neither a next hop, nor the spool, nor an answer yet.",
	  AT(s2s.window_bytes) },
	{ "s2s.window_total", CONFIG_INT, "67108864", 1048576, 2147483647, NULL,
	  "How many bytes of stanzas may be unfinished in all.",
	  AT(s2s.window_total) },
	{ "s2s.connect_time", CONFIG_SECONDS, "10", 0.1, 120, NULL,
	  "How long a TCP connection may take to be made.",
	  AT(s2s.connect_ms) },
	{ "s2s.establish_time", CONFIG_SECONDS, "60", 0.1, 600, NULL,
	  "How long a stream may take from its TCP connection to its first authenticated pair of domains.",
	  AT(s2s.establish_ms) },
	{ "s2s.inactivity_time", CONFIG_SECONDS, "600", 0.1, 86400, NULL,
	  "A stream on which nothing was sent or received for so long is closed.",
	  AT(s2s.inactivity_ms) },
	{ "s2s.keepalive_time", CONFIG_SECONDS, "240", 0.1, 86400, NULL,
	  "White space is sent on a stream that was silent for so long, where the partner's keepalive is on.",
	  AT(s2s.keepalive_ms) },
	{ "s2s.queue_stanzas", CONFIG_INT, "10000", 1, 1000000, NULL,
	  "How many stanzas may wait for one link.",
	  AT(s2s.queue_stanzas) },
	{ "s2s.queue_bytes", CONFIG_INT, "4194304", 10000, 67108864, NULL,
	  "How many bytes of stanzas may wait for one link.",
	  AT(s2s.queue_bytes) },
	{ "s2s.queue_time", CONFIG_SECONDS, "30", 0.1, 3600, NULL,
	  "How long a stanza may wait for its link before its sender is told that it failed.",
	  AT(s2s.queue_ms) },
	{ "s2s.confirm_time", CONFIG_SECONDS, "2", 0.1, 60, NULL,
	  "How long to wait for the proof that the peer has read a stanza.",
	  AT(s2s.confirm_ms) },
	{ "s2s.backoff_min", CONFIG_SECONDS, "1", 0.1, 3600, NULL,
	  "The pause after the first failed connection attempt; it doubles with each further one.",
	  AT(s2s.backoff_min_ms) },
	{ "s2s.backoff_max", CONFIG_SECONDS, "60", 0.1, 86400, NULL,
	  "The longest pause between connection attempts.",
	  AT(s2s.backoff_max_ms) },

	{ "presence.expires", CONFIG_SECONDS, "3600", 60, 28800, NULL,
	  "How long a presence subscription at a pool is asked for; it is refreshed before.",
	  AT(presence.expires_ms) },
	{ "presence.handover_time", CONFIG_SECONDS, "30", 1, 600, NULL,
	  "How long the side to which a user was moved may take to show him; then contacts no longer see him on the other.",
	  AT(presence.handover_ms) },
	{ "presence.subscriptions_per_user", CONFIG_INT, "5000", 2, 1000000, NULL,
	  "How many presence subscriptions one local user may have, counted for each direction; half for unproved ones.",
	  AT(presence.subscriptions_per_user) },
	{ "presence.subscriptions", CONFIG_INT, "1000000", 2, 100000000, NULL,
	  "How many presence subscriptions there may be in all, counted for each direction; half for unproved ones.",
	  AT(presence.subscriptions) },

	{ "spool.keep_time", CONFIG_SECONDS, "86400", 1, 2592000, NULL,
	  "How long a message may wait for its user to be moved, or for its next hop; then its sender is told.",
	  AT(spool.keep_ms) },
	{ "spool.move_time", CONFIG_SECONDS, "900", 1, 604800, NULL,
	  "How long a user may be marked moving; then he is marked as he was before.",
	  AT(spool.move_ms) },
	{ "spool.messages_per_user", CONFIG_INT, "1000", 1, 1000000, NULL,
	  "How many messages may wait for one user.",
	  AT(spool.messages_per_user) },
	{ "spool.bytes_per_user", CONFIG_INT, "10485760", 65536, 1073741824, NULL,
	  "How many bytes they may have.",
	  AT(spool.bytes_per_user) },
	{ "spool.messages_per_hop", CONFIG_INT, "100000", 1, 10000000, NULL,
	  "How many messages may wait for one next hop, or for users who are being moved.",
	  AT(spool.messages_per_hop) },
	{ "spool.bytes_per_hop", CONFIG_INT, "536870912", 65536, 2147483647, NULL,
	  "How many bytes they may have.",
	  AT(spool.bytes_per_hop) },
	{ "spool.messages", CONFIG_INT, "200000", 1, 10000000, NULL,
	  "How many messages may wait in all.",
	  AT(spool.messages) },
	{ "spool.bytes", CONFIG_INT, "1073741824", 65536, 2147483647, NULL,
	  "How many bytes they may have.",
	  AT(spool.bytes) },
	{ "spool.window", CONFIG_INT, "65536", 0, 1000000, NULL,
	  "How many messages are remembered, so that one that is sent again arrives once; 0: none.",
	  AT(spool.window) },
	{ "spool.window_time", CONFIG_SECONDS, "1800", 1, 86400, NULL,
	  "How long they are remembered, not counting the time when the daemon does not run.",
	  AT(spool.window_ms) },
};
/* clang-format on */

_Static_assert(ARRAY_SIZE(options) <= CONFIG_OPTIONS_MAX, "CONFIG_OPTIONS_MAX must grow");

const struct config_option *config_options(size_t *count)
{
	*count = ARRAY_SIZE(options);
	return options;
}

const char *config_type_name(enum config_type type)
{
	static const char *const names[] = {
		[CONFIG_STRING] = "string",           [CONFIG_PATH] = "path",
		[CONFIG_STRINGS] = "list of strings", [CONFIG_INT] = "integer",
		[CONFIG_SECONDS] = "seconds",         [CONFIG_CHOICE] = "choice",
	};

	return names[type];
}

size_t config_option_count(void)
{
	return ARRAY_SIZE(options);
}

const struct config_option *config_option_at(size_t i)
{
	return &options[i];
}

static const char *last_part(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot != NULL ? dot + 1 : name;
}

const char *config_nearest(const char *name)
{
	size_t limit = strlen(name) / 3 + 1, best = limit + 1;
	const char *found = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		const char *known = options[i].name;
		size_t whole = nearest_distance(name, known),
		       part = nearest_distance(last_part(name), last_part(known)) + 1;
		size_t d = whole < part ? whole : part;

		if (d < best) {
			best = d;
			found = known;
		}
	}
	return found;
}

static bool in_group(const char *option, const char *group)
{
	size_t n = strlen(group);

	return strncmp(option, group, n) == 0 && option[n] == '.';
}

bool config_is_group(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		if (in_group(options[i].name, name))
			return true;
	}
	return false;
}

static bool same_list(const struct config_list *a, const struct config_list *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		if (strcmp(a->item[i], b->item[i]) != 0)
			return false;
	}
	return true;
}

bool config_same(const struct config_option *option, const struct config *a, const struct config *b)
{
	const void *x = (const char *)a + option->offset, *y = (const char *)b + option->offset;

	switch (option->type) {
	case CONFIG_STRING:
	case CONFIG_PATH:
		return strcmp(*(const char *const *)x, *(const char *const *)y) == 0;
	case CONFIG_STRINGS:
		return same_list(x, y);
	case CONFIG_INT:
	case CONFIG_SECONDS:
		return *(const int64_t *)x == *(const int64_t *)y;
	case CONFIG_CHOICE:
		return *(const int *)x == *(const int *)y;
	}
	return false;
}

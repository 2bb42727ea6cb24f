/*
 * Tests of config.h: a table of mistakes, each with the whole message that the
 * administrator reads; values, defaults, paths; the table of options itself.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "bridge/core/config.h"

static char folder[] = "/tmp/poolbridge-test-config-XXXXXX";

static char *path_of(const char *name)
{
	return xasprintf("%s/%s", folder, name);
}

static void write_file(const char *name, const char *text)
{
	char *path = path_of(name);
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
	free(path);
}

static void remove_file(const char *name)
{
	char *path = path_of(name);

	remove(path);
	free(path);
}

static const char *const files[] = { "t.conf", "more.conf", "cert.pem", "key.pem", "folder" };

static int setup(void **state)
{
	char *path;

	(void)state;
	if (mkdtemp(folder) == NULL)
		return -1;
	write_file("cert.pem", "");
	write_file("key.pem", "");
	path = path_of("folder");
	mkdir(path, 0700);
	free(path);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		remove_file(files[i]);
	return rmdir(folder);
}

static enum err load(const char *text, struct config **out, const char **why)
{
	char *path = path_of("t.conf");
	enum err e;

	write_file("t.conf", text);
	e = config_load(path, out, why);
	free(path);
	return e;
}

static struct config *load_good(const char *text)
{
	struct config *c = NULL;
	const char *why = "";

	if (load(text, &c, &why) != OK)
		fail_msg("%s", why);
	return c;
}

/* The message without the folder's name. */
static void assert_message(const char *why, const char *expected)
{
	assert_memory_equal(why, folder, strlen(folder));
	assert_string_equal(why + strlen(folder) + 1, expected);
}

/* --- mistakes found by config_load() --- */

#define R           "registry = \"r.db\";\n"
#define MEND_SYNTAX "; look there and in the line before for a missing quote, bracket or equals sign"
#define MARK        "t.conf:1: begins with a byte order mark; save the file as UTF-8 without one"

static const struct {
	const char *text, *why;
	enum err e;
} mistakes[] = {
	/* what Windows' editors put before the first line */
	{ "\xef\xbb\xbf" R, MARK, ERR_SYNTAX },
	{ "\xff\xfer", MARK, ERR_SYNTAX },
	{ "\xfe\xffr", MARK, ERR_SYNTAX },
	/* libconfig's own */
	{ "registry = \"r.db\n", "t.conf:2: syntax error" MEND_SYNTAX, ERR_SYNTAX },
	{ R "s2s.queue_time = 3;\n", "t.conf:2: syntax error" MEND_SYNTAX, ERR_SYNTAX },
	{ "registry = \"r.db\"\nlog_level \"info\";\n", "t.conf:2: syntax error" MEND_SYNTAX, ERR_SYNTAX },
	{ R R,
	  "t.conf:2: duplicate setting name; the option or group stands above already: keep one of the two",
	  ERR_SYNTAX },
	{ R "s2s: { depth = 9;\n", "t.conf:3: syntax error" MEND_SYNTAX, ERR_SYNTAX },
	{ R "external: { listen = [ 1, \"a\" ]; };\n", "t.conf:2: mismatched element type in array",
	  ERR_SYNTAX },
	{ R "@include \"none.conf\"\n",
	  "t.conf:2: cannot open include file; a relative one is looked for in the folder of the "
	  "configuration file",
	  ERR_SYNTAX },
	/* names */
	{ "", "t.conf: option 'registry': is missing; add the line: registry = \"...\";", ERR_NOT_FOUND },
	{ "registri = \"r.db\";\n",
	  "t.conf:1: option 'registri': there is no such option; did you mean 'registry'?", ERR_NOT_FOUND },
	{ R "s2s: {\n\tqueue_tim = 3;\n};\n",
	  "t.conf:3: option 's2s.queue_tim': there is no such option; did you mean 's2s.queue_time'?",
	  ERR_NOT_FOUND },
	{ R "queue_time = 3;\n",
	  "t.conf:2: option 'queue_time': there is no such option; did you mean 's2s.queue_time'?",
	  ERR_NOT_FOUND },
	{ R "xmpp: { listen = [ ]; };\n", "t.conf:2: group 'xmpp': there is no such group of options",
	  ERR_NOT_FOUND },
	{ R "extrenal: { listen = [ ]; };\n",
	  "t.conf:2: group 'extrenal': there is no such group of options; did you mean 'external'?",
	  ERR_NOT_FOUND },
	{ R "sip: { registry = \"\"; };\n",
	  "t.conf:2: option 'sip.registry': there is no such option; did you mean 'registry'?",
	  ERR_NOT_FOUND },
	{ R "completely_different = true;\n",
	  "t.conf:2: option 'completely_different': there is no such option", ERR_NOT_FOUND },
	{ R "x012345678901234567890123456789012345678901234567890123456789012345678901234567890 = 1;\n",
	  "t.conf:2: option 'x012345678901234567890123456789012345678901234567890123456789012': "
	  "there is no such option",
	  ERR_NOT_FOUND },
	{ R "s2s = 5;\n", "t.conf:2: 's2s' is a group of options; write it as s2s: { ... };", ERR_SYNTAX },
	{ R "s2s: { depth: { max = 9; }; };\n",
	  "t.conf:2: option 's2s.depth': must be a whole number; write it without quotes, unit or point",
	  ERR_SYNTAX },
	{ "registry: { };\n",
	  "t.conf:1: option 'registry': must be a string; write it between quotes: \"...\"", ERR_SYNTAX },
	/* types */
	{ "registry = 5;\n",
	  "t.conf:1: option 'registry': must be a string; write it between quotes: \"...\"", ERR_SYNTAX },
	{ "registry = \"\";\n", "t.conf:1: option 'registry': must not be empty; name a file", ERR_SYNTAX },
	{ R "\n\ns2s: { queue_time = \"30\"; };\n",
	  "t.conf:4: option 's2s.queue_time': must be a number of seconds; write it without quotes or unit: "
	  "30 or "
	  "0.5",
	  ERR_SYNTAX },
	{ R "s2s: { queue_time = true; };\n",
	  "t.conf:2: option 's2s.queue_time': must be a number of seconds; write it without quotes or unit: "
	  "30 or "
	  "0.5",
	  ERR_SYNTAX },
	{ R "s2s: { depth = 9.0; };\n",
	  "t.conf:2: option 's2s.depth': must be a whole number; write it without quotes, unit or point",
	  ERR_SYNTAX },
	{ R "external: { listen = 5269; };\n",
	  "t.conf:2: option 'external.listen': must be a list of strings; write it as [ \"...\", \"...\" ]",
	  ERR_SYNTAX },
	{ R "external: { listen = [ 5269 ]; };\n",
	  "t.conf:2: option 'external.listen': must be a list of strings; write it as [ \"...\", \"...\" ]",
	  ERR_SYNTAX },
	{ R "external: { listen = ( \"a\", 5269 ); };\n",
	  "t.conf:2: option 'external.listen': must be a list of strings; write it as [ \"...\", \"...\" ]",
	  ERR_SYNTAX },
	{ R "sip: { allow = [ \"\" ]; };\n", "t.conf:2: option 'sip.allow': holds an empty string; remove it",
	  ERR_SYNTAX },
	{ R
	  "sip: { allow = [ "
	  "\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\",\"10\",\"11\",\"12\",\"13\","
	  "\"14\",\"15\",\"16\",\"17\",\"18\",\"19\",\"20\",\"21\",\"22\",\"23\",\"24\",\"25\",\"26\",\"27\","
	  "\"28\",\"29\",\"30\",\"31\",\"32\",\"33\" ]; };\n",
	  "t.conf:2: option 'sip.allow': has 33 items; 32 are possible", ERR_LIMIT },
	/* ranges: the least, the greatest, and what libconfig makes of a number that is too great for it */
	{ R "s2s: { stanza_bytes = 9999; };\n",
	  "t.conf:2: option 's2s.stanza_bytes': 9999 is out of range; it may be from 10000 to 16777216",
	  ERR_LIMIT },
	{ R "s2s: { stanza_bytes = -1; };\n",
	  "t.conf:2: option 's2s.stanza_bytes': -1 is out of range; it may be from 10000 to 16777216",
	  ERR_LIMIT },
	{ R "s2s: { queue_time = 0; };\n",
	  "t.conf:2: option 's2s.queue_time': 0 is out of range; it may be from 0.1 to 3600", ERR_LIMIT },
	{ R "s2s: { queue_time = 3600.5; };\n",
	  "t.conf:2: option 's2s.queue_time': 3600.5 is out of range; it may be from 0.1 to 3600",
	  ERR_LIMIT },
	{ R "s2s: { queue_time = 1e999; };\n",
	  "t.conf:2: option 's2s.queue_time': inf is out of range; it may be from 0.1 to 3600", ERR_LIMIT },
	{ R "s2s: { queue_bytes = 10000000000; };\n",
	  "t.conf:2: option 's2s.queue_bytes': 1410065408 is out of range; it may be from 10000 to 67108864",
	  ERR_LIMIT },
	{ R "s2s: { queue_bytes = 10000000000L; };\n",
	  "t.conf:2: option 's2s.queue_bytes': 10000000000 is out of range; it may be from 10000 to 67108864",
	  ERR_LIMIT },
	/* choices */
	{ R "log_level = \"verbose\";\n",
	  "t.conf:2: option 'log_level': \"verbose\" is none of: error warning notice info debug",
	  ERR_SYNTAX },
	{ R "log_level = \"\";\n",
	  "t.conf:2: option 'log_level': \"\" is none of: error warning notice info debug", ERR_SYNTAX },
	{ R "log_level = \"warning notice\";\n",
	  "t.conf:2: option 'log_level': \"warning notice\" is none of: error warning notice info debug",
	  ERR_SYNTAX },
	{ R "internal: { tls = false; };\n",
	  "t.conf:2: option 'internal.tls': must be a string; write it between quotes: \"...\"", ERR_SYNTAX },
	/* in an included file: its name and its line */
	{ R "@include \"more.conf\"\n",
	  "more.conf:3: option 's2s.dept': there is no such option; did you mean 's2s.depth'?",
	  ERR_NOT_FOUND },
	{ R "@include \"cert.pem\"\n", "cert.pem:1: syntax error" MEND_SYNTAX, ERR_SYNTAX },
};

static void test_mistakes(void **state)
{
	struct config untouched, *c = &untouched;

	(void)state;
	write_file("cert.pem", "--\n");
	write_file("more.conf", "\ns2s: {\n\tdept = 9;\n};\n");
	for (size_t i = 0; i < ARRAY_SIZE(mistakes); i++) {
		const char *why = "";

		assert_int_equal(load(mistakes[i].text, &c, &why), mistakes[i].e);
		assert_message(why, mistakes[i].why);
		assert_ptr_equal(c, &untouched);
	}
}

static void test_unreadable_file(void **state)
{
	static const struct {
		const char *name, *why;
	} rows[] = {
		{ "none",
		  "none: cannot be read: No such file or directory; name the configuration file with -c" },
		{ "folder", "folder: cannot be read: Is a directory; name the configuration file with -c" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char *path = path_of(rows[i].name);
		struct config *c = NULL;
		const char *why = "";

		assert_int_equal(config_load(path, &c, &why), ERR_IO);
		assert_message(why, rows[i].why);
		free(path);
	}
}

/* --- mistakes found by config_check_daemon() --- */

#define LISTENER     "is no ADDRESS:PORT; write for example \"192.0.2.1:5269\" or \"[2001:db8::1]:5269\""
#define ADDRESS      "is no IP address; write for example \"192.0.2.1\" or \"2001:db8::1\""
#define SIP_LISTENER "is no listener; write for example \"tcp:192.0.2.1:5060\" or \"udp:[2001:db8::1]:5060\""
#define HOP          "is no next hop; write for example \"sip:pool.example.org:5060;transport=tcp\""
#define RESOLVER     "is no ADDRESS or ADDRESS@PORT; write for example \"192.0.2.53\" or \"127.0.0.1@5353\""
#define ZONE         "is no zone; write its name in small letters, for example \"home.arpa\""
#define APART        "give each an address of its own, or another port"
#define SIP(listen)  "sip: { listen = [ " listen " ]; new_pool = \"sip:127.0.0.1\"; };\n"
#define POOL(uri)    "sip: { listen = [ \"udp:127.0.0.1:5060\" ]; new_pool = [ \"" uri "\" ]; };\n"

static const struct {
	const char *text, *why; /* why NULL: no mistake */
} daemon_rows[] = {
	{ R, NULL },
	{ R "external: { listen = [ ]; };", NULL },
	{ R "external: { listen = [ \"127.0.0.1:1\", \"[::]:5269\", \"[::1]:65535\" ]; };", NULL },
	{ R "external: { listen = [ \"127.0.0.1\" ]; };",
	  "t.conf:2: option 'external.listen': \"127.0.0.1\" " LISTENER },
	{ R "external: { listen = [ \"localhost:5269\" ]; };",
	  "t.conf:2: option 'external.listen': \"localhost:5269\" " LISTENER },
	{ R "external: { listen = [ \"0.0.0.0:5269\", \"::1:5269\" ]; };",
	  "t.conf:2: option 'external.listen': \"::1:5269\" " LISTENER },
	{ R "external: { listen = [ \"127.0.0.1:0\" ]; };",
	  "t.conf:2: option 'external.listen': \"127.0.0.1:0\" " LISTENER },
	{ R "external: { listen = [ \"127.0.0.1:65536\" ]; };",
	  "t.conf:2: option 'external.listen': \"127.0.0.1:65536\" " LISTENER },
	{ R "external: { listen = [ \"*:5269\" ]; };",
	  "t.conf:2: option 'external.listen': \"*:5269\" " LISTENER },
	{ R "external: { listen = [ \"127.0.0.1:5269\", \"127.0.0.1:5269\" ]; };",
	  "t.conf:2: option 'external.listen': \"127.0.0.1:5269\" stands there twice; remove one" },
	{ R "external: { bind = \"127.0.0.1\"; };", NULL },
	{ R "external: { bind = \"127.0.0.1:0\"; };",
	  "t.conf:2: option 'external.bind': \"127.0.0.1:0\" " ADDRESS },
	/* certificate and key */
	{ R "external: { certificate = \"cert.pem\"; key = \"key.pem\"; };", NULL },
	{ R "external: {\n certificate = \"cert.pem\"; };",
	  "t.conf:3: option 'external.certificate': needs external.key too; give both or neither" },
	{ R "external: { key = \"key.pem\"; };",
	  "t.conf:2: option 'external.key': needs external.certificate too; give both or neither" },
	{ R "external: { certificate = \"cert.pem\"; key = \"/nonexistent/k.pem\"; };",
	  "t.conf:2: option 'external.key': /nonexistent/k.pem: No such file or directory; the daemon's user "
	  "must be "
	  "able to read it" },
	{ R "external: { listen_tls = [ \"127.0.0.1\" ]; };",
	  "t.conf:2: option 'external.listen_tls': \"127.0.0.1\" " LISTENER },
	/* two listeners at one place */
	{ R "external: { listen = [ \"0.0.0.0:5269\", \"[::]:5269\", \"0.0.0.0:5270\" ]; };", NULL },
	{ R "external: { listen = [ \"0.0.0.0:5269\", \"192.0.2.10:5269\" ]; };",
	  "t.conf:2: option 'external.listen': \"192.0.2.10:5269\" meets \"0.0.0.0:5269\" of "
	  "external.listen; " APART },
	{ R "external: { listen_tls = [ \"0.0.0.0:5269\" ]; };",
	  "t.conf:2: option 'external.listen_tls': \"0.0.0.0:5269\" meets \"0.0.0.0:5269\" of "
	  "external.listen; " APART },
	{ R "internal: { listen = [ \"192.0.2.11:5269\" ]; gateway = \"g\"; };",
	  "t.conf:2: option 'internal.listen': \"192.0.2.11:5269\" meets \"0.0.0.0:5269\" of "
	  "external.listen; " APART },
	{ R "external: { listen = [ \"192.0.2.10:5269\" ]; };\n"
	    "internal: { listen = [ \"192.0.2.11:5269\" ]; gateway = \"g\"; };",
	  NULL },
	{ R "external: { listen = [ \"[2001:db8::1]:5269\" ]; };\n"
	    "internal: { listen = [ \"[2001:DB8:0::1]:5269\" ]; gateway = \"g\"; };",
	  "t.conf:3: option 'internal.listen': \"[2001:DB8:0::1]:5269\" meets \"[2001:db8::1]:5269\" of "
	  "external.listen; " APART },
	{ R "external: { certificate = \"cert.pem\"; key = \"key.pem\"; };" SIP(
		  "\"udp:127.0.0.1:5060\", \"tcp:127.0.0.1:5060\", \"tls:127.0.0.1:5060\""),
	  "t.conf:2: option 'sip.listen': \"tls:127.0.0.1:5060\" meets \"tcp:127.0.0.1:5060\" of "
	  "sip.listen; " APART },
	/* the internal edge */
	{ R "internal: { listen = [ \"127.0.0.1:5279\" ]; gateway = \"xmpp.corp.test\"; allow = [ \"::1\" ]; "
	    "};",
	  NULL },
	{ R "internal: { gateway = \"10.0.0.1:5269\"; };", NULL },
	{ R "internal: { listen = [ \"127.0.0.1:5279\" ]; };",
	  "t.conf:2: option 'internal.listen': needs internal.gateway too: who connects there is verified "
	  "with it" },
	{ R "internal: { listen = [ \"127.0.0.1:5279\" ]; gateway = \"a b\"; };",
	  "t.conf:2: option 'internal.gateway': \"a b\" is no HOST:PORT; write for example "
	  "\"gateway.example.org:5269\"" },
	{ R "component: { server = \"xmpp.example.org:5347\"; domain = \"corp.test\"; secret = \"s\"; };",
	  NULL },
	{ R "component: { server = \"a b\"; domain = \"corp.test\"; secret = \"s\"; };",
	  "t.conf:2: option 'component.server': \"a b\" is no HOST:PORT; write for example "
	  "\"xmpp.example.org:5347\"" },
	{ R "component: { server = \"localhost\"; secret = \"s\"; };",
	  "t.conf:2: option 'component.server': needs component.domain too: the name of the component" },
	{ R "component: { server = \"localhost\"; domain = \"corp.test\"; };",
	  "t.conf:2: option 'component.server': needs component.secret too, as the server has it" },
	{ R "component: { secret = \"s\"; };",
	  "t.conf:2: option 'component.secret': needs component.server too: where the component attaches" },
	{ R "internal: { allow = [ \"10.0.0.0/8\" ]; };",
	  "t.conf:2: option 'internal.allow': \"10.0.0.0/8\" " ADDRESS },
	{ R "internal: { listen = [ \"127.0.0.1:5279\" ]; gateway = \"g\"; tls = \"required\"; };",
	  "t.conf:2: option 'internal.tls': \"required\" needs external.certificate and external.key" },
	/* dialback, DNS */
	{ R "dialback: { secret = \"0123456789abcdef\"; };", NULL },
	{ R "dialback: { secret = \"0123456789abcde\"; };",
	  "t.conf:2: option 'dialback.secret': is shorter than 16 characters; make one with: openssl rand "
	  "-hex 16" },
	{ R "dns: { resolver = \"127.0.0.1@5353\"; transparent_zones = [ \"test\", \"home.arpa.\" ]; };",
	  NULL },
	{ R "dns: { resolver = \"::1\"; };", NULL },
	{ R "dns: { resolver = \"127.0.0.1:53\"; };",
	  "t.conf:2: option 'dns.resolver': \"127.0.0.1:53\" " RESOLVER },
	{ R "dns: { resolver = \"127.0.0.1@\"; };",
	  "t.conf:2: option 'dns.resolver': \"127.0.0.1@\" " RESOLVER },
	{ R "dns: { resolver = \"127.0.0.1@70000\"; };",
	  "t.conf:2: option 'dns.resolver': \"127.0.0.1@70000\" " RESOLVER },
	{ R "dns: { resolver = \"resolver.test\"; };",
	  "t.conf:2: option 'dns.resolver': \"resolver.test\" " RESOLVER },
	{ R "dns: { transparent_zones = [ \"a b\" ]; };",
	  "t.conf:2: option 'dns.transparent_zones': \"a b\" " ZONE },
	/* SIP */
	{ R SIP("\"udp:127.0.0.1:5060\", \"tcp:127.0.0.1:5060\", \"tcp:[::1]:5060\""), NULL },
	{ R SIP("\"127.0.0.1:5060\""), "t.conf:2: option 'sip.listen': \"127.0.0.1:5060\" " SIP_LISTENER },
	{ R SIP("\"udp:127.0.0.1:5060\", \"tls:127.0.0.1:5061\""),
	  "t.conf:2: option 'sip.listen': tls: needs sip.certificate and sip.key" },
	{ R "external: { certificate = \"cert.pem\"; key = \"key.pem\"; };" SIP(
		  "\"udp:127.0.0.1:5060\", \"tls:127.0.0.1:5061\""),
	  NULL },
	{ R "sip: { certificate = \"cert.pem\"; };",
	  "t.conf:2: option 'sip.certificate': needs sip.key too; give both or neither" },
	{ R "sip: { certificate = \"cert.pem\"; key = \"/nonexistent/k.pem\"; };",
	  "t.conf:2: option 'sip.key': /nonexistent/k.pem: No such file or directory; the daemon's user must "
	  "be able to read it" },
	{ R "sip: { tls_names = [ \"pool.corp.test\", \"192.0.2.1\", \"2001:db8::1\" ]; };", NULL },
	{ R "sip: { tls_names = [ \"pool.corp.test:5061\" ]; };",
	  "t.conf:2: option 'sip.tls_names': \"pool.corp.test:5061\" is no host name or IP address; write "
	  "for "
	  "example \"pool.example.org\"" },
	{ R "sip: { backoff_min = 61; };",
	  "t.conf:2: option 'sip.backoff_min': is greater than sip.backoff_max; lower it" },
	{ R SIP("\"udp:127.0.0.1\""), "t.conf:2: option 'sip.listen': \"udp:127.0.0.1\" " SIP_LISTENER },
	{ R SIP(""),
	  "t.conf:2: option 'sip.new_pool': needs sip.listen too: requests to the pool leave from there" },
	{ R "sip: { listen = [ \"udp:127.0.0.1:5060\" ]; };",
	  "t.conf:2: option 'sip.listen': needs sip.new_pool too: there is no pool to talk to" },
	{ R POOL("sip:[::1]:5060;transport=udp"), NULL },
	{ R POOL("sip:pool.corp.test:5060;transport=tcp"),
	  "t.conf:2: option 'sip.new_pool': \"sip:pool.corp.test:5060;transport=tcp\" needs a tcp: listener "
	  "in "
	  "sip.listen, from which requests leave" },
	{ R POOL("sip:a\", \"sip:b\", \"sip:a"),
	  "t.conf:2: option 'sip.new_pool': \"sip:a\" stands there twice; remove one" },
	{ R POOL("sip:a\", \"sip:b:5060\", \"sip:b:5062"), NULL },
	{ R POOL("sip:pool.corp.test"), NULL },
	{ R POOL("pool.corp.test"), "t.conf:2: option 'sip.new_pool': \"pool.corp.test\" " HOP },
	{ R POOL("sips:pool.corp.test"), "t.conf:2: option 'sip.new_pool': \"sips:pool.corp.test\" " HOP },
	{ R POOL("sip:user@pool.corp.test"),
	  "t.conf:2: option 'sip.new_pool': \"sip:user@pool.corp.test\" " HOP },
	{ R POOL("sip:a;transport=sctp"), "t.conf:2: option 'sip.new_pool': \"sip:a;transport=sctp\" " HOP },
	{ R POOL("sip:a;transport=tls;lr"),
	  "t.conf:2: option 'sip.new_pool': \"sip:a;transport=tls;lr\" " HOP },
	{ R POOL("sip:a?Route=b"), "t.conf:2: option 'sip.new_pool': \"sip:a?Route=b\" " HOP },
	{ R POOL("sip:;transport=tcp"), "t.conf:2: option 'sip.new_pool': \"sip:;transport=tcp\" " HOP },
	/* limits that contradict each other; the default counts too */
	{ R "s2s: { stanza_bytes = 20000; queue_bytes = 10000; };",
	  "t.conf:2: option 's2s.queue_bytes': is less than s2s.stanza_bytes; raise it" },
	{ R "s2s: { inactivity_time = 60; };", "t.conf: option 's2s.keepalive_time' (not given): is not less "
					       "than s2s.inactivity_time: streams would be "
					       "closed first; lower it" },
	{ R "s2s: { backoff_min = 61; };",
	  "t.conf:2: option 's2s.backoff_min': is greater than s2s.backoff_max; lower it" },
	{ "registry = \"r.db\"; state = \"r.db\";",
	  "t.conf:1: option 'state': is the registry's file; name another" },
	{ "registry = \"r.db\"; control_socket = "
	  "\"/tmp/012345678901234567890123456789012345678901234567890123456789"
	  "01234567890123456789012345678901234567890123\";",
	  "t.conf:1: option 'control_socket': the path is too long for a Unix socket; choose one of at most "
	  "107 bytes" },
};

static void test_daemon(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(daemon_rows); i++) {
		struct config *c = load_good(daemon_rows[i].text);
		const char *why = "";
		enum err e = config_check_daemon(c, &why);

		if (daemon_rows[i].why != NULL)
			assert_message(why, daemon_rows[i].why);
		else
			assert_string_equal(why, "");
		assert_true((e == OK) == (daemon_rows[i].why == NULL));
		config_free(c);
	}
}

/* --- values --- */

static void test_registry_alone(void **state)
{
	struct config *c = load_good(R);
	char *registry = path_of("r.db"), *control_socket = path_of("r.db.sock"), *file = path_of("t.conf");
	char *state_file = path_of("r.db.state");

	(void)state;
	assert_string_equal(c->file, file);
	assert_string_equal(c->registry, registry);
	assert_string_equal(c->state, state_file);
	assert_string_equal(c->control_socket, control_socket);
	assert_int_equal(c->log_level, LOG_INFO);
	assert_int_equal(c->external.listen.count, 1);
	assert_string_equal(c->external.listen.item[0], "0.0.0.0:5269");
	assert_string_equal(c->external.certificate, "");
	assert_int_equal(c->internal.listen.count, 0);
	assert_int_equal(c->internal.tls, 1);
	assert_int_equal(c->sip.listen.count, 0);
	assert_int_equal(c->s2s.stanza_bytes, 65536);
	assert_int_equal(c->s2s.queue_ms, 30000);
	assert_int_equal(c->s2s.keepalive_ms, 240000);
	assert_int_equal(c->sip.answer_ms, 8000);
	config_free(c);
	free(registry);
	free(control_socket);
	free(state_file);
	free(file);
	config_free(NULL);
}

static void test_values(void **state)
{
	struct config *c;
	char *cert = path_of("tls/cert.pem");

	(void)state;
	write_file("more.conf", "sip: { listen = ( \"udp:127.0.0.1:5060\", \"tcp:127.0.0.1:5060\" ); };\n");
	c = load_good(
		"registry = \"/var/lib/r.db\";\ncontrol_socket = \"/run/x.sock\";\nlog_level = \"debug\";\n"
		"@include \"more.conf\"\n"
		"external = { certificate = \"tls/cert.pem\"; };\n"
		"internal: { tls = \"required\"; allow = [ ]; };\n"
		"s2s: { queue_time = 30; confirm_time = 0.25; depth = 0x10; backoff_max = 1e2;\n"
		"       connect_time = 1.0005; };\n");
	assert_string_equal(c->registry, "/var/lib/r.db");
	assert_string_equal(c->control_socket, "/run/x.sock");
	assert_string_equal(c->external.certificate, cert);
	assert_int_equal(c->log_level, LOG_DEBUG);
	assert_int_equal(c->internal.tls, 2);
	assert_int_equal(c->internal.allow.count, 0);
	assert_int_equal(c->sip.listen.count, 2);
	assert_string_equal(c->sip.listen.item[1], "tcp:127.0.0.1:5060");
	assert_int_equal(c->s2s.queue_ms, 30000);
	assert_int_equal(c->s2s.confirm_ms, 250);
	assert_int_equal(c->s2s.depth, 16);
	assert_int_equal(c->s2s.backoff_max_ms, 100000);
	assert_int_equal(c->s2s.connect_ms, 1001);
	config_free(c);
	free(cert);
}

/* A file in the working folder, named without one. */
static void test_file_without_folder(void **state)
{
	char was[4096];
	struct config *c = NULL;
	const char *why = "";

	(void)state;
	write_file("t.conf", R);
	assert_non_null(getcwd(was, sizeof(was)));
	assert_int_equal(chdir(folder), 0);
	assert_int_equal(config_load("t.conf", &c, &why), OK);
	assert_string_equal(c->registry, "./r.db");
	assert_int_equal(chdir(was), 0);
	config_free(c);
}

/* --- the table itself --- */

/* Every default, written into a file as its type wants it, is accepted and gives the same configuration. */
static void write_default(struct strbuf *b, const struct config_option *o)
{
	const char *name = strchr(o->name, '.') != NULL ? strchr(o->name, '.') + 1 : o->name;

	switch (o->type) {
	case CONFIG_STRING:
	case CONFIG_PATH:
	case CONFIG_CHOICE:
		strbuf_printf(b, "%s = \"%s\";\n", name, o->fallback != NULL ? o->fallback : "r.db");
		break;
	case CONFIG_STRINGS:
		assert_null(strchr(o->fallback, ' '));
		strbuf_printf(b, o->fallback[0] != '\0' ? "%s = [ \"%s\" ];\n" : "%s = [ ];\n", name,
			      o->fallback);
		break;
	case CONFIG_INT:
	case CONFIG_SECONDS:
		strbuf_printf(b, "%s = %s;\n", name, o->fallback);
		break;
	}
}

static void test_defaults(void **state)
{
	const char *group = "";
	size_t count, group_len = 0;
	const struct config_option *o = config_options(&count);
	struct strbuf b = { 0 };
	struct config *given, *defaults;
	const char *why = "";

	(void)state;
	for (size_t i = 0; i < count; i++) {
		const char *dot = strchr(o[i].name, '.');
		size_t len = dot != NULL ? (size_t)(dot - o[i].name) : 0;

		if (len != group_len || strncmp(group, o[i].name, len) != 0) {
			strbuf_printf(&b, "%s%.*s: {\n", group_len > 0 ? "};\n" : "", (int)len, o[i].name);
			group = o[i].name;
			group_len = len;
		}
		write_default(&b, &o[i]);
	}
	strbuf_puts(&b, "};\n");
	given = load_good(b.s);
	defaults = load_good(R);
	for (size_t i = 0; i < count; i++)
		assert_true(config_same(&o[i], given, defaults));
	assert_int_equal(config_check_daemon(given, &why), OK);
	config_free(given);
	config_free(defaults);
	strbuf_free(&b);
}

static void test_same(void **state)
{
	static const struct {
		const char *text, *changed; /* from R alone */
	} rows[] = {
		{ "registry = \"other.db\"; state = \"r.db.state\"; control_socket = \"r.db.sock\";",
		  "registry" },
		{ R "state = \"other.db\";", "state" },
		{ R "log_level = \"debug\";", "log_level" },
		{ R "external: { listen = [ \"0.0.0.0:5270\" ]; };", "external.listen" },
		{ R "external: { listen = [ ]; };", "external.listen" },
		{ R "s2s: { queue_time = 30.001; };", "s2s.queue_time" },
		{ R "s2s: { depth = 65; };", "s2s.depth" },
		{ R "dialback: { secret = \"x\"; };", "dialback.secret" },
	};
	size_t count;
	const struct config_option *o = config_options(&count);
	struct config *base = load_good(R);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct config *c = load_good(rows[i].text);

		for (size_t j = 0; j < count; j++)
			assert_int_equal(config_same(&o[j], base, c),
					 strcmp(o[j].name, rows[i].changed) != 0);
		config_free(c);
	}
	config_free(base);
}

static void test_table(void **state)
{
	size_t count;
	const struct config_option *o = config_options(&count);

	(void)state;
	for (size_t i = 0; i < count; i++) {
		const size_t help = strlen(o[i].help);

		assert_true(help > 0 && o[i].help[help - 1] == '.');
		assert_true(strlen(config_type_name(o[i].type)) > 0);
		assert_true((o[i].choices != NULL) == (o[i].type == CONFIG_CHOICE));
		assert_true((o[i].max > o[i].min) ==
			    (o[i].type == CONFIG_INT || o[i].type == CONFIG_SECONDS));
		for (size_t j = 0; j < i; j++) {
			assert_string_not_equal(o[i].name, o[j].name);
			assert_true(o[i].offset != o[j].offset);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mistakes), cmocka_unit_test(test_unreadable_file),
		cmocka_unit_test(test_daemon),   cmocka_unit_test(test_registry_alone),
		cmocka_unit_test(test_values),   cmocka_unit_test(test_file_without_folder),
		cmocka_unit_test(test_defaults), cmocka_unit_test(test_same),
		cmocka_unit_test(test_table),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

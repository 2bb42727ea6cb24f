/*
 * sippeer_options.c - the command line of sippeer.c, and its help.
 *
 * What is wrong ends the program with a word about it.
 */
#include "bench/sippeer_options.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bench/end.h"

static const char usage[] =
	"Usage: sippeer --listen ADDRESS --connect ADDRESS[:PORT] --log FILE [options]\n"
	"\n"
	"A SIP pool whose users send numbered MESSAGEs at a rate, and receive such. Commands on\n"
	"standard input: start, stop, rate N, status, cut, refuse SECONDS, blackhole SECONDS, quit.\n"
	"\n"
	"  --listen ADDRESS     for connections to it, port 5060, with TLS 5061\n"
	"  --connect ADDRESS    where its own go, from the address that it listens on\n"
	"  --transport NAME     udp, tcp or tls (default tcp); by UDP it speaks with --connect alone\n"
	"  --tls CERT,KEY       what it shows there; it checks nothing\n"
	"  --sessions           each pair's first message opens a session, and the others go in it\n"
	"  --register           its users register there, by the address that it listens on\n"
	"  --deaf               it does not listen there: another process does\n"
	"  --log FILE           what was sent, acknowledged, answered and received\n"
	"  --flow LETTER        of the messages that it sends (default c)\n"
	"  --from U@D, --to U@D users: the pair's number is put before the @ (default u@corp.test, "
	"p@partner.test)\n"
	"  --pairs N            how many, each with one message under way at most (default 100)\n"
	"  --rate N             messages a second (default 0: it only receives)\n"
	"  --first N            number of each pair's first message (default 1)\n"
	"  --tally FILE         counts there what it has got, for the end that sends it\n"
	"  --size N             bytes of text in each (default 100)\n";

struct sippeer_options sippeer_options = {
	.transport = "TCP", .flow = 'c', .pairs = 100, .size = 100, .first = 1
};

/* "u@corp.test": u goes before the pair's number. */
static void take_users(const char *value, char **name, const char **domain)
{
	const char *at = strchr(value, '@');

	if (!at)
		end_usage(usage, 2);
	free(*name);
	*name = xstrndup(value, (size_t)(at - value));
	*domain = at + 1;
}

static void take_transport(const char *value)
{
	static const char *const known[] = { "UDP", "TCP", "TLS" };

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (strcasecmp(value, known[i]) != 0)
			continue;
		sippeer_options.transport = known[i];
		sippeer_options.udp = i == 0;
		return;
	}
	end_usage(usage, 2);
}

static void take_option(int option, const char *value)
{
	struct sippeer_options *o = &sippeer_options;

	switch (option) {
	case 'l':
		o->address = value;
		break;
	case 'c':
		o->connect = end_address(value, 0);
		break;
	case 'm':
		take_transport(value);
		break;
	case 'T':
		end_tls_contexts(value, &o->server_tls, &o->client_tls);
		break;
	case 'S':
		o->sessions = true;
		break;
	case 'o':
		o->log = value;
		break;
	case 'y':
		o->tally = value;
		break;
	case 'f':
		o->flow = value[0];
		break;
	case 'u':
		take_users(value, &o->from, &o->from_domain);
		break;
	case 't':
		take_users(value, &o->to, &o->to_domain);
		break;
	case 'p':
		o->pairs = (unsigned)strtoul(value, NULL, 10);
		break;
	case 'r':
		o->rate = strtod(value, NULL);
		break;
	case 'n':
		o->first = strtoul(value, NULL, 10);
		break;
	case 's':
		o->size = (unsigned)strtoul(value, NULL, 10);
		break;
	case 'R':
		o->registers = true;
		break;
	case 'D':
		o->deaf = true;
		break;
	default:
		end_usage(usage, option == 'h' ? 0 : 2);
	}
}

/* What one option says of another. */
static void complete(void)
{
	struct sippeer_options *o = &sippeer_options;
	const bool tls = strcmp(o->transport, "TLS") == 0;
	const unsigned short port = tls ? 5061 : 5060;

	if (!o->address || !o->log || o->pairs == 0 || o->size > 10000 || tls != (o->client_tls != NULL) ||
	    (o->udp && o->connect.sin_family == 0))
		end_usage(usage, 2);
	o->listen = end_address(o->address, port);
	if (o->connect.sin_family != 0 && o->connect.sin_port == 0)
		o->connect.sin_port = htons(port);
}

void sippeer_read_options(int argc, char **argv)
{
	static const struct option known[] = {
		{ "listen", 1, NULL, 'l' },   { "connect", 1, NULL, 'c' }, { "log", 1, NULL, 'o' },
		{ "flow", 1, NULL, 'f' },     { "from", 1, NULL, 'u' },    { "to", 1, NULL, 't' },
		{ "pairs", 1, NULL, 'p' },    { "rate", 1, NULL, 'r' },    { "first", 1, NULL, 'n' },
		{ "size", 1, NULL, 's' },     { "deaf", 0, NULL, 'D' },    { "register", 0, NULL, 'R' },
		{ "sessions", 0, NULL, 'S' }, { "tls", 1, NULL, 'T' },     { "transport", 1, NULL, 'm' },
		{ "tally", 1, NULL, 'y' },    { "help", 0, NULL, 'h' },    { NULL, 0, NULL, 0 },
	};
	int option;

	take_users("u@corp.test", &sippeer_options.from, &sippeer_options.from_domain);
	take_users("p@partner.test", &sippeer_options.to, &sippeer_options.to_domain);
	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1)
		take_option(option, optarg);
	if (optind < argc)
		end_usage(usage, 2);
	complete();
}

void sippeer_free_options(void)
{
	SSL_CTX_free(sippeer_options.server_tls);
	SSL_CTX_free(sippeer_options.client_tls);
	free(sippeer_options.from);
	free(sippeer_options.to);
}

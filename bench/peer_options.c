/*
 * peer_options.c - the command line of peer.c, its help, and its certificate.
 *
 * What is wrong ends the program with a word about it.
 */
#include "bench/peer_options.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "bench/end.h"

static const char usage[] =
	"Usage: peer --domain D --remote D --listen ADDRESS --connect ADDRESS[:PORT] [options]\n"
	"\n"
	"An XMPP server of domain D that sends numbered messages to the remote domain at a rate, and\n"
	"receives such. Commands on standard input: start, stop, rate N, status, cut, refuse SECONDS, "
	"blackhole "
	"SECONDS, quit.\n"
	"\n"
	"  --listen ADDRESS     for streams to it, port 5269\n"
	"  --connect ADDRESS    where its own stream goes, from the address that it listens on\n"
	"  --log FILE           what was sent, acknowledged, answered and received; this or --tally must be "
	"given\n"
	"  --flow LETTER        of the messages that it sends (default a)\n"
	"  --from U, --to U     users: U0@D, U1@D, ... (default p and u)\n"
	"  --pairs N            how many of each (default 100)\n"
	"  --rate N             messages a second (default 0: it only receives; inf: as many as the window "
	"allows)\n"
	"  --first N            number of each pair's first message (default 1)\n"
	"  --window N           messages under way at most (default 3000)\n"
	"  --size N             bytes of text in each (default 100)\n"
	"  --length N           bytes of each in all, instead\n"
	"  --tls CERT,KEY       STARTTLS both ways, with a certificate that proves nothing\n"
	"  --external           SASL EXTERNAL instead of dialback, where it is offered\n"
	"  --no-sm              without XEP-0198: pings prove what was read, and what it has written it "
	"believes arrived\n"
	"  --tally FILE         shared with the other end: a message is under way until that has it\n"
	"  --host               the remote domain is a component, which connects to it (XEP-0114)\n"
	"  --component SECRET   not a server, but the component D of the server at --connect (XEP-0114)\n";

struct peer_options peer_options = {
	.from = "p", .to = "u", .flow = 'a', .pairs = 100, .first = 1, .window = 3000, .size = 100, .sm = true
};

static void take_option(int option, const char *value)
{
	switch (option) {
	case 'd':
		peer_options.domain = value;
		break;
	case 'm':
		peer_options.remote = value;
		break;
	case 'l':
		peer_options.listen = end_address(value, 5269);
		break;
	case 'c':
		peer_options.connect = end_address(value, 5269);
		break;
	case 'o':
		peer_options.log = value;
		break;
	case 'f':
		peer_options.flow = value[0];
		break;
	case 'u':
		peer_options.from = value;
		break;
	case 't':
		peer_options.to = value;
		break;
	case 'p':
		peer_options.pairs = (unsigned)strtoul(value, NULL, 10);
		break;
	case 'r':
		peer_options.rate = strtod(value, NULL);
		break;
	case 'n':
		peer_options.first = strtoul(value, NULL, 10);
		break;
	case 'w':
		peer_options.window = strtoul(value, NULL, 10);
		break;
	case 's':
		peer_options.size = (unsigned)strtoul(value, NULL, 10);
		break;
	case 'L':
		peer_options.length = (unsigned)strtoul(value, NULL, 10);
		break;
	case 'T':
		end_tls_contexts(value, &peer_options.server_tls, &peer_options.client_tls);
		break;
	case 'E':
		peer_options.external = true;
		break;
	case 'N':
		peer_options.sm = false;
		break;
	case 'y':
		peer_options.tally = value;
		break;
	case 'H':
		peer_options.host = true;
		peer_options.sm = false;
		break;
	case 'C':
		peer_options.secret = value;
		peer_options.sm = false;
		break;
	default:
		end_usage(usage, option == 'h' ? 0 : 2);
	}
}

void peer_read_options(int argc, char **argv)
{
	static const struct option known[] = {
		{ "domain", 1, NULL, 'd' },  { "remote", 1, NULL, 'm' },    { "listen", 1, NULL, 'l' },
		{ "connect", 1, NULL, 'c' }, { "log", 1, NULL, 'o' },       { "flow", 1, NULL, 'f' },
		{ "from", 1, NULL, 'u' },    { "to", 1, NULL, 't' },        { "pairs", 1, NULL, 'p' },
		{ "rate", 1, NULL, 'r' },    { "first", 1, NULL, 'n' },     { "window", 1, NULL, 'w' },
		{ "size", 1, NULL, 's' },    { "tls", 1, NULL, 'T' },       { "external", 0, NULL, 'E' },
		{ "no-sm", 0, NULL, 'N' },   { "component", 1, NULL, 'C' }, { "help", 0, NULL, 'h' },
		{ "tally", 1, NULL, 'y' },   { "host", 0, NULL, 'H' },      { "length", 1, NULL, 'L' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1)
		take_option(option, optarg);
	if (!peer_options.domain || !peer_options.remote || !(peer_options.log || peer_options.tally) ||
	    !peer_options.listen.sin_port || optind < argc || peer_options.pairs == 0 ||
	    peer_options.window == 0 || peer_options.size > 10000 || peer_options.length > 10000)
		end_usage(usage, 2);
}

void peer_free_options(void)
{
	SSL_CTX_free(peer_options.server_tls);
	SSL_CTX_free(peer_options.client_tls);
}

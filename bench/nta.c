/*
 * nta.c - sofia-sip's nta transaction and nothing else: the floor under a gateway on that library.
 *
 * As a client it keeps a window of MESSAGEs under way and sends the next one when one is
 * answered; as a server it answers every MESSAGE with 200. No users, no order, no queues, no
 * limits. What it speaks with is bench/sippeer, as poolbridge does.
 *
 * Any failure ends the program.
 */
#include <arpa/inet.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sofia-sip/nta.h>
#include <sofia-sip/sip_header.h>
#include <sofia-sip/sip_status.h>
#include <sofia-sip/sip_tag.h>
#include <sofia-sip/sip_util.h>
#include <sofia-sip/su_wait.h>
#include <sofia-sip/tport_tag.h>

static const char usage[] =
	"Usage: nta --listen ADDRESS [--connect ADDRESS] [options]\n"
	"\n"
	"Answers MESSAGEs, or with --connect sends them. Commands on standard input: start, stop, status,\n"
	"quit; rate N is taken, too, and changes nothing.\n"
	"\n"
	"  --listen ADDRESS     port 5060\n"
	"  --connect ADDRESS    where its MESSAGEs go, port 5060\n"
	"  --transport NAME     tcp or udp (default tcp)\n"
	"  --pairs N            how many users write, one message under way of each (default 1024)\n"
	"  --size N             bytes of text in each, 32 at least (default 100)\n";

static struct {
	const char *listen, *connect, *transport;
	unsigned pairs, size;
} options = { .transport = "tcp", .pairs = 1024, .size = 100 };

struct pair {
	unsigned number;       /* which */
	unsigned long message; /* the last one */
};

static struct {
	su_root_t *root;
	int commands; /* what watches standard input */
	nta_agent_t *agent;
	struct pair *pairs;
	char *text, route[64];
	bool making;
	unsigned begun, under_way; /* pairs, messages */
	unsigned long sent, answered, errors, got;
	char command[64];
	size_t command_size;
} self;

static _Noreturn void give_up(const char *why)
{
	fprintf(stderr, "nta: %s\n", why);
	exit(1);
}

/* --- the client --- */

static void send_next(struct pair *p);

static int on_response(nta_outgoing_magic_t *magic, nta_outgoing_t *orq, sip_t const *sip)
{
	(void)sip;
	if (nta_outgoing_status(orq) < 200)
		return 0;
	*(nta_outgoing_status(orq) < 300 ? &self.answered : &self.errors) += 1;
	nta_outgoing_destroy(orq);
	self.under_way--;
	send_next((struct pair *)magic);
	/* Slowly at the start: sofia-sip holds few requests for a connection that is not open yet. */
	if (self.begun < options.pairs)
		send_next(&self.pairs[self.begun++]);
	return 0;
}

/* As the other ends number theirs. */
static void write_text(const struct pair *p)
{
	const int n = snprintf(self.text, options.size + 1, "n-%u-%lu", p->number, p->message);

	self.text[n] = ' ';
}

static void send_next(struct pair *p)
{
	char to[48], from[64], name[64];
	msg_t *msg;
	su_home_t *home;

	if (!self.making)
		return;
	msg = nta_msg_create(self.agent, 0);
	home = msg_home(msg);
	snprintf(to, sizeof(to), "sip:u%u@corp.test", p->number);
	snprintf(from, sizeof(from), "<sip:p%u@partner.test>;tag=n%lu", p->number, ++p->message);
	snprintf(name, sizeof(name), "<%s>", to);
	write_text(p);
	if (sip_add_tl(msg, sip_object(msg),
		       SIPTAG_REQUEST(sip_request_create(home, SIP_METHOD_MESSAGE, (url_string_t *)to, NULL)),
		       SIPTAG_MAX_FORWARDS_STR("70"), SIPTAG_FROM_STR(from), SIPTAG_TO_STR(name),
		       SIPTAG_CALL_ID(sip_call_id_create(home, NULL)),
		       SIPTAG_CSEQ(sip_cseq_create(home, 1, SIP_METHOD_MESSAGE)),
		       SIPTAG_CONTENT_TYPE_STR("text/plain"), SIPTAG_PAYLOAD_STR(self.text), TAG_END()) < 0 ||
	    sip_complete_message(msg) < 0 ||
	    nta_outgoing_mcreate(self.agent, on_response, (nta_outgoing_magic_t *)p,
				 (url_string_t *)self.route, msg, TAG_END()) == NULL)
		give_up("a request could not be sent");
	self.under_way++;
	self.sent++;
}

/* --- the server --- */

static int on_request(nta_agent_magic_t *magic, nta_agent_t *agent, msg_t *msg, sip_t *sip)
{
	nta_incoming_t *irq;

	(void)magic;
	if (sip->sip_request == NULL || sip->sip_request->rq_method == sip_method_ack) {
		nta_msg_discard(agent, msg);
		return 0;
	}
	irq = nta_incoming_create(agent, NULL, msg, sip, TAG_END());
	if (irq == NULL)
		return 0;
	self.got++;
	nta_incoming_treply(irq, SIP_200_OK, TAG_END());
	nta_incoming_destroy(irq);
	return 0;
}

/* --- commands --- */

static void start(void)
{
	self.making = options.connect != NULL;
	self.begun = 1;
	send_next(&self.pairs[0]);
}

static void obey(const char *line)
{
	if (strcmp(line, "start") == 0) {
		start();
	} else if (strcmp(line, "stop") == 0) {
		self.making = false;
	} else if (strcmp(line, "status") == 0) {
		printf("{\"sent\": %lu, \"acknowledged\": %lu, \"errors\": %lu, \"unknown\": 0, \"got\": "
		       "%lu, "
		       "\"waiting\": %u, \"connected\": true}\n",
		       self.sent, self.answered, self.errors, self.got, self.under_way);
		fflush(stdout);
	} else if (strncmp(line, "rate ", 5) != 0) { /* always as fast as it can */
		su_root_break(self.root);
	}
}

static int on_command(su_root_magic_t *magic, su_wait_t *wait, su_wakeup_arg_t *arg)
{
	ssize_t n = read(STDIN_FILENO, self.command + self.command_size,
			 sizeof(self.command) - self.command_size - 1);
	char *line = self.command, *eol;

	(void)magic;
	(void)wait;
	(void)arg;
	if (n <= 0) {
		su_root_break(self.root);
		return 0;
	}
	self.command_size += (size_t)n;
	self.command[self.command_size] = '\0';
	for (; (eol = strchr(line, '\n')) != NULL; line = eol + 1) {
		*eol = '\0';
		obey(line);
	}
	self.command_size = strlen(line);
	memmove(self.command, line, self.command_size);
	return 0;
}

/* --- the command line --- */

static void take_option(int option, const char *value)
{
	switch (option) {
	case 'l':
		options.listen = value;
		break;
	case 'c':
		options.connect = value;
		break;
	case 't':
		options.transport = value;
		break;
	case 'p':
		options.pairs = (unsigned)strtoul(value, NULL, 10);
		break;
	case 's':
		options.size = (unsigned)strtoul(value, NULL, 10);
		break;
	default:
		fputs(usage, option == 'h' ? stdout : stderr);
		exit(option == 'h' ? 0 : 2);
	}
}

static bool is_address(const char *text)
{
	struct in_addr unused;

	return inet_pton(AF_INET, text, &unused) == 1;
}

static void check_options(void)
{
	if (options.listen == NULL || options.pairs == 0 || options.size < 32 ||
	    (strcmp(options.transport, "tcp") != 0 && strcmp(options.transport, "udp") != 0))
		take_option('?', NULL);
	if (!is_address(options.listen) || (options.connect != NULL && !is_address(options.connect))) {
		fputs("nta: --listen and --connect take an IPv4 address\n", stderr);
		exit(2);
	}
}

static void read_options(int argc, char **argv)
{
	static const struct option known[] = {
		{ "listen", 1, NULL, 'l' }, { "connect", 1, NULL, 'c' }, { "transport", 1, NULL, 't' },
		{ "pairs", 1, NULL, 'p' },  { "size", 1, NULL, 's' },    { "help", 0, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1)
		take_option(option, optarg);
	if (optind < argc)
		take_option('?', NULL);
	check_options();
}

static void open_agent(void)
{
	char contact[128];
	su_wait_t wait[1] = { SU_WAIT_INIT };

	snprintf(contact, sizeof(contact), "sip:%s:5060;transport=%s", options.listen, options.transport);
	snprintf(self.route, sizeof(self.route), "sip:%s:5060;transport=%s",
		 options.connect != NULL ? options.connect : "", options.transport);
	self.root = su_root_create(NULL);
	self.agent = nta_agent_create(self.root, (const url_string_t *)-1, on_request, NULL,
				      NTATAG_MAXSIZE(16 * 1024 * 1024), NTATAG_UDP_MTU(65535), TAG_END());
	if (self.agent == NULL ||
	    nta_agent_add_tport(self.agent, (url_string_t *)contact, TPTAG_QUEUESIZE(1000), TAG_END()) < 0)
		give_up("cannot listen");
	if (su_wait_create(wait, STDIN_FILENO, SU_WAIT_IN) == 0)
		self.commands = su_root_register(self.root, wait, on_command, NULL, su_pri_normal);
	if (self.commands <= 0)
		give_up("standard input must be a pipe");
}

int main(int argc, char **argv)
{
	read_options(argc, argv);
	self.pairs = calloc(options.pairs, sizeof(*self.pairs));
	self.text = calloc(1, options.size + 1);
	if (self.pairs == NULL || self.text == NULL || su_init() != 0)
		give_up("no memory");
	memset(self.text, '.', options.size);
	for (unsigned i = 0; i < options.pairs; i++)
		self.pairs[i].number = i;
	open_agent();
	puts("ready");
	fflush(stdout);
	su_root_run(self.root);
	su_root_deregister(self.root, self.commands);
	nta_agent_destroy(self.agent);
	su_root_destroy(self.root);
	su_deinit();
	free(self.pairs);
	free(self.text);
	return 0;
}

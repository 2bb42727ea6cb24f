/*
 * sipe_user: a real client of the Microsoft protocol, pidgin-sipe, without a screen.
 *
 *     sipe_user FOLDER ADDRESS SERVER PORT TRANSPORT
 *
 * It logs in as ADDRESS, obeys commands that come on standard input, one JSON array of strings a line, and says
 * on standard output what its user would see, one JSON object a line; main() below has the lists. The end of its
 * input is its end. What libpurple and the plugin say goes to standard error, with every SIP message.
 *
 * It knows nothing of SIP itself: everything here is libpurple's interface, as Pidgin uses it. FOLDER is where
 * libpurple keeps its files. One account, one thread; what libpurple hands out stays libpurple's.
 */
#include <dlfcn.h>
#include <glib.h>
#include <jansson.h>
#include <libxml/parser.h>
#include <purple.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UI    "poolbridge-lab"
#define GROUP "Friends"

static PurpleAccount *account;
static GMainLoop *loop;

/*
 * COMPAT: libxml2 2.9.14+dfsg-1.3~deb12u6 calls no element handler of a SAX1 handler that is marked as SAX2, which is
 * how the plugin parses everything. This one is found before the library's and says what the handler really is.
 */
int xmlSAXUserParseMemory(xmlSAXHandlerPtr sax, void *data, const char *text, int size)
{
	int (*parse)(xmlSAXHandlerPtr, void *, const char *, int);
	xmlSAXHandler plain = *sax;

	*(void **)&parse = dlsym(RTLD_NEXT, "xmlSAXUserParseMemory");
	if (sax->startElement && !sax->startElementNs && !sax->endElementNs) {
		plain.initialized = 1;
		sax = &plain;
	}
	return parse(sax, data, text, size);
}

/* ---- what the user sees */

/* Takes the object over. */
static void say(json_t *event)
{
	json_dumpf(event, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
	putchar('\n');
	fflush(stdout);
	json_decref(event);
}

static const char *bare(const char *name)
{
	return g_str_has_prefix(name, "sip:") ? name + 4 : name;
}

/* The text that a window shows for it, where the end of a line is one: g_free() it. */
static char *shown(const char *html)
{
	char **lines = g_strsplit(html, "\n", -1), *text, *broken;

	for (char **line = lines; *line; line++)
		if (g_str_has_suffix(*line, "\r"))
			(*line)[strlen(*line) - 1] = '\0';
	broken = g_strjoinv("<br>", lines);
	text = purple_markup_strip_html(broken);
	g_free(broken);
	g_strfreev(lines);
	return text;
}

static void on_received(PurpleAccount *a, const char *who, const char *html, PurpleConversation *conv,
			int flags)
{
	char *text = shown(html);

	(void)a, (void)conv;
	if (!(flags & (PURPLE_MESSAGE_SYSTEM | PURPLE_MESSAGE_ERROR)))
		say(json_pack("{s:s, s:s, s:s, s:s}", "event", "message", "from", bare(who), "text", text,
			      "html", html));
	g_free(text);
}

/* Of all that is written into a window, only what came from nobody: failures, and other words of the program. */
static void on_wrote(PurpleAccount *a, const char *who, const char *html, PurpleConversation *conv, int flags)
{
	char *text = shown(html);

	(void)a, (void)who;
	if (flags & (PURPLE_MESSAGE_SYSTEM | PURPLE_MESSAGE_ERROR))
		say(json_pack("{s:s, s:s, s:s}", "event", flags & PURPLE_MESSAGE_ERROR ? "error" : "notice",
			      "about", bare(purple_conversation_get_name(conv)), "text", text));
	g_free(text);
}

static void on_typing(PurpleAccount *a, const char *who, const char *state)
{
	(void)a;
	say(json_pack("{s:s, s:s, s:s}", "event", "typing", "from", bare(who), "state", state));
}

static void on_signed(PurpleConnection *gc, const char *event)
{
	(void)gc;
	say(json_pack("{s:s}", "event", event));
}

static void on_connection_error(PurpleConnection *gc, PurpleConnectionError why, const char *text)
{
	(void)gc, (void)why;
	say(json_pack("{s:s, s:s?}", "event", "connection-error", "text", text));
}

/* The note is the plugin's own: libpurple asks for it when a tooltip or a list is shown. */
static char *note_of(PurpleBuddy *buddy)
{
	PurplePluginProtocolInfo *protocol =
		PURPLE_PLUGIN_PROTOCOL_INFO(purple_account_get_connection(account)->prpl);
	char *html = protocol->status_text ? protocol->status_text(buddy) : NULL;
	char *text = html ? shown(html) : NULL;

	g_free(html);
	return text;
}

static void say_presence(PurpleBuddy *buddy)
{
	PurplePresence *presence = purple_buddy_get_presence(buddy);
	PurpleStatus *status = purple_presence_get_active_status(presence);
	char *note = note_of(buddy);

	say(json_pack("{s:s, s:s, s:b, s:s, s:s?}", "event", "presence", "from",
		      bare(purple_buddy_get_name(buddy)), "online", purple_presence_is_online(presence),
		      "status", purple_status_get_id(status), "note", note));
	g_free(note);
}

static void on_buddy(PurpleBuddy *buddy)
{
	if (purple_account_get_connection(account))
		say_presence(buddy);
}

static void *notify_message(PurpleNotifyMsgType type, const char *title, const char *primary,
			    const char *secondary)
{
	(void)type;
	say(json_pack("{s:s, s:s?, s:s?, s:s?}", "event", "dialog", "title", title, "primary", primary,
		      "secondary", secondary));
	return NULL;
}

/* Somebody wants to see our presence: the user says yes. */
static void *request_authorize(PurpleAccount *a, const char *who, const char *id, const char *alias,
			       const char *message, gboolean listed, PurpleAccountRequestAuthorizationCb yes,
			       PurpleAccountRequestAuthorizationCb no, void *ctx)
{
	(void)a, (void)id, (void)alias, (void)message, (void)listed, (void)no;
	say(json_pack("{s:s, s:s}", "event", "authorize", "from", bare(who)));
	yes(ctx);
	return NULL;
}

/* ---- what the user does */

static char *uri(const char *address)
{
	return g_strconcat("sip:", address, NULL);
}

static PurpleConversation *window(const char *address)
{
	char *who = uri(address);
	PurpleConversation *conv = purple_find_conversation_with_account(PURPLE_CONV_TYPE_IM, who, account);

	if (!conv)
		conv = purple_conversation_new(PURPLE_CONV_TYPE_IM, account, who);
	g_free(who);
	return conv;
}

static void do_send(const char *to, const char *text)
{
	char *html = g_markup_escape_text(text, -1), **lines = g_strsplit(html, "\n", -1);
	char *broken = g_strjoinv("<br>", lines);

	purple_conv_im_send(PURPLE_CONV_IM(window(to)), broken);
	g_free(broken);
	g_strfreev(lines);
	g_free(html);
}

static void do_send_html(const char *to, const char *html)
{
	purple_conv_im_send(PURPLE_CONV_IM(window(to)), html);
}

/* "no" is a pause: libpurple's end of typing puts nothing on the wire here. */
static void do_typing(const char *to, const char *state)
{
	char *who = uri(to);

	window(to);
	serv_send_typing(purple_account_get_connection(account), who,
			 strcmp(state, "yes") == 0 ? PURPLE_TYPING : PURPLE_TYPED);
	g_free(who);
}

static void do_close(const char *to, const char *unused)
{
	(void)unused;
	purple_conversation_destroy(window(to));
}

static void do_add(const char *address, const char *unused)
{
	char *who = uri(address);
	PurpleGroup *group = purple_find_group(GROUP);
	PurpleBuddy *buddy = purple_buddy_new(account, who, NULL);

	(void)unused;
	if (!group)
		purple_blist_add_group(group = purple_group_new(GROUP), NULL);
	purple_blist_add_buddy(buddy, NULL, group, NULL);
	purple_account_add_buddy(account, buddy);
	g_free(who);
}

static void do_remove(const char *address, const char *unused)
{
	char *who = uri(address);
	PurpleBuddy *buddy = purple_find_buddy(account, who);

	(void)unused;
	if (buddy) {
		purple_account_remove_buddy(account, buddy, purple_buddy_get_group(buddy));
		purple_blist_remove_buddy(buddy);
	}
	g_free(who);
}

static void do_show(const char *address, const char *unused)
{
	char *who = uri(address);
	PurpleBuddy *buddy = purple_find_buddy(account, who);

	(void)unused;
	if (buddy)
		say_presence(buddy);
	g_free(who);
}

static void do_status(const char *id, const char *note)
{
	purple_account_set_status(account, id, TRUE, "message", note, NULL);
}

static void do_quit(const char *unused, const char *unused2)
{
	(void)unused, (void)unused2;
	g_main_loop_quit(loop);
}

static const struct command {
	const char *name;
	void (*act)(const char *first, const char *second);
} commands[] = {
	{ "send", do_send }, { "send-html", do_send_html }, { "typing", do_typing }, { "close", do_close },
	{ "add", do_add },   { "remove", do_remove },       { "show", do_show },     { "status", do_status },
	{ "quit", do_quit },
};

/* The n-th word of a command; "" when it has none. */
static const char *word(const json_t *words, size_t n)
{
	const char *text = json_string_value(json_array_get(words, n));

	return text ? text : "";
}

static void obey(const char *line)
{
	json_t *words = json_loads(line, 0, NULL);
	const struct command *command = NULL;

	for (size_t i = 0; i < G_N_ELEMENTS(commands); i++)
		if (strcmp(commands[i].name, word(words, 0)) == 0)
			command = &commands[i];
	if (command)
		command->act(word(words, 1), word(words, 2));
	else
		fprintf(stderr, "sipe_user: not understood: %s\n", line);
	json_decref(words);
}

static gboolean on_input(GIOChannel *channel, GIOCondition condition, gpointer unused)
{
	char *line = NULL;

	(void)condition, (void)unused;
	if (g_io_channel_read_line(channel, &line, NULL, NULL, NULL) != G_IO_STATUS_NORMAL) {
		g_main_loop_quit(loop);
		return FALSE;
	}
	obey(line);
	g_free(line);
	return TRUE;
}

/* ---- libpurple on GLib's loop */

struct watch {
	PurpleInputFunction call;
	gpointer data;
};

static gboolean on_ready(GIOChannel *channel, GIOCondition condition, gpointer data)
{
	struct watch *watch = data;
	int what = 0;

	if (condition & (G_IO_IN | G_IO_HUP | G_IO_ERR))
		what |= PURPLE_INPUT_READ;
	if (condition & (G_IO_OUT | G_IO_HUP | G_IO_ERR | G_IO_NVAL))
		what |= PURPLE_INPUT_WRITE;
	watch->call(watch->data, g_io_channel_unix_get_fd(channel), (PurpleInputCondition)what);
	return TRUE;
}

static guint add_watch(int fd, PurpleInputCondition what, PurpleInputFunction call, gpointer data)
{
	struct watch *watch = g_new(struct watch, 1);
	GIOChannel *channel = g_io_channel_unix_new(fd);
	GIOCondition condition = 0;
	guint id;

	*watch = (struct watch){ call, data };
	if (what & PURPLE_INPUT_READ)
		condition |= G_IO_IN | G_IO_HUP | G_IO_ERR;
	if (what & PURPLE_INPUT_WRITE)
		condition |= G_IO_OUT | G_IO_HUP | G_IO_ERR | G_IO_NVAL;
	id = g_io_add_watch_full(channel, G_PRIORITY_DEFAULT, condition, on_ready, watch, g_free);
	g_io_channel_unref(channel);
	return id;
}

static void print_debug(PurpleDebugLevel level, const char *category, const char *text)
{
	(void)level;
	fprintf(stderr, "%s: %s%s", category, text, g_str_has_suffix(text, "\n") ? "" : "\n");
}

static gboolean want_debug(PurpleDebugLevel level, const char *category)
{
	(void)level;
	return category && (strcmp(category, "sipe") == 0 || strcmp(category, "connection") == 0);
}

static PurpleEventLoopUiOps loop_ops = { .timeout_add = g_timeout_add,
					 .timeout_remove = g_source_remove,
					 .input_add = add_watch,
					 .input_remove = g_source_remove,
					 .timeout_add_seconds = g_timeout_add_seconds };
static PurpleDebugUiOps debug_ops = { .print = print_debug, .is_enabled = want_debug };
static PurpleNotifyUiOps notify_ops = { .notify_message = notify_message };
static PurpleAccountUiOps account_ops = { .request_authorize = request_authorize };

static void connect_signals(void)
{
	static int here;
	void *conversations = purple_conversations_get_handle(),
	     *connections = purple_connections_get_handle();
	void *list = purple_blist_get_handle();

	purple_signal_connect(conversations, "received-im-msg", &here, PURPLE_CALLBACK(on_received), NULL);
	purple_signal_connect(conversations, "wrote-im-msg", &here, PURPLE_CALLBACK(on_wrote), NULL);
	purple_signal_connect(conversations, "buddy-typing", &here, PURPLE_CALLBACK(on_typing), "typing");
	purple_signal_connect(conversations, "buddy-typed", &here, PURPLE_CALLBACK(on_typing), "paused");
	purple_signal_connect(conversations, "buddy-typing-stopped", &here, PURPLE_CALLBACK(on_typing),
			      "stopped");
	purple_signal_connect(connections, "signed-on", &here, PURPLE_CALLBACK(on_signed), "connected");
	purple_signal_connect(connections, "signed-off", &here, PURPLE_CALLBACK(on_signed), "disconnected");
	purple_signal_connect(connections, "connection-error", &here, PURPLE_CALLBACK(on_connection_error),
			      NULL);
	purple_signal_connect(list, "buddy-signed-on", &here, PURPLE_CALLBACK(on_buddy), NULL);
	purple_signal_connect(list, "buddy-signed-off", &here, PURPLE_CALLBACK(on_buddy), NULL);
	purple_signal_connect(list, "buddy-status-changed", &here, PURPLE_CALLBACK(on_buddy), NULL);
}

static bool start_purple(const char *folder)
{
	purple_util_set_user_dir(folder);
	purple_debug_set_ui_ops(&debug_ops);
	purple_debug_set_verbose(TRUE);
	purple_debug_set_unsafe(TRUE);
	purple_eventloop_set_ui_ops(&loop_ops);
	if (!purple_core_init(UI))
		return false;
	purple_notify_set_ui_ops(&notify_ops);
	purple_accounts_set_ui_ops(&account_ops);
	purple_set_blist(purple_blist_new());
	connect_signals();
	return purple_find_prpl("prpl-sipe") != NULL;
}

/* The account name is "address,login"; an empty login is the address. */
static void log_in(const char *address, const char *server, const char *port, const char *transport)
{
	char *name = g_strconcat(address, ",", NULL);

	account = purple_account_new(name, "prpl-sipe");
	g_free(name);
	purple_account_set_password(account, "secret");
	purple_account_set_string(account, "server", server);
	purple_account_set_string(account, "port", port);
	purple_account_set_string(account, "transport", transport);
	purple_account_set_string(account, "authentication", "ntlm");
	purple_account_set_bool(account, "dont-publish", TRUE);
	purple_accounts_add(account);
	purple_savedstatus_activate(purple_savedstatus_new(NULL, PURPLE_STATUS_AVAILABLE));
	purple_account_set_enabled(account, UI, TRUE);
}

/*
 * Commands: ["send", TO, TEXT] ["send-html", TO, HTML] ["typing", TO, "yes"|"no"] ["close", TO] ["add", CONTACT]
 * ["remove", CONTACT] ["show", CONTACT] ["status", "available"|"busy"|"do-not-disturb"|"be-right-back"|"away"|
 * "invisible", NOTE] ["quit"].
 * Events: connected, disconnected, connection-error, message, typing, presence, authorize, error, notice, dialog.
 */
int main(int argc, char **argv)
{
	GIOChannel *input = g_io_channel_unix_new(STDIN_FILENO);

	if (argc != 6 || !start_purple(argv[1])) {
		fprintf(stderr,
			"sipe_user: FOLDER ADDRESS SERVER PORT TRANSPORT, and the plugin of pidgin-sipe\n");
		return EXIT_FAILURE;
	}
	loop = g_main_loop_new(NULL, FALSE);
	g_io_add_watch(input, G_IO_IN | G_IO_HUP, on_input, NULL);
	log_in(argv[2], argv[3], argv[4], argv[5]);
	g_main_loop_run(loop);
	purple_core_quit();
	g_io_channel_unref(input);
	g_main_loop_unref(loop);
	return EXIT_SUCCESS;
}

/*
 * test_starttls.c - the switch from clear text to TLS, attacks on it, and how
 * a TLS connection ends.
 */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/err.h>

#include "bridge/xmpp/tls_internal.h"
#include "socktest.h"

static const char ask[] = "<starttls/>", yes[] = "<proceed/>";

/* --- the switch --- */

/* Server: what the front end does: stop at the element that switches, say how much was used. */
static size_t grant(struct end *e, const char *bytes, size_t n)
{
	assert_true(n >= strlen(ask));
	assert_memory_equal(bytes, ask, strlen(ask));
	e->on_input = NULL;
	socktest_say(e, yes);
	sock_start_tls(e->s, w.tls, &as_server);
	return strlen(ask);
}

static size_t granted(struct end *e, const char *bytes, size_t n)
{
	assert_true(n >= strlen(yes));
	assert_memory_equal(bytes, yes, strlen(yes));
	e->on_input = NULL;
	sock_start_tls(e->s, w.tls, &as_client);
	socktest_say(e, "a secret"); /* before the handshake has begun */
	return strlen(yes);
}

static void say_ask(struct end *e)
{
	socktest_say(e, ask);
}

static bool heard_and_acked(void *ctx)
{
	(void)ctx;
	return server_heard("<starttls/>a secret") && sock_acked(w.client.s) == sock_offset(w.client.s) &&
	       sock_acked(w.server.s) == strlen(yes);
}

static void test_switch(void **state)
{
	char words[128];

	(void)state;
	w.client.on_connected = say_ask;
	w.server.on_input = grant;
	w.client.on_input = granted;
	socktest_listen(0);
	socktest_connect(NULL);
	socktest_run(heard_and_acked, NULL);
	assert_int_equal(w.client.secured, 1);
	assert_int_equal(w.server.secured, 1);
	assert_true(sock_is_tls(w.client.s) && sock_is_tls(w.server.s));
	sock_tls_describe(w.server.s, words, sizeof(words));
	assert_memory_equal(words, "TLSv1.3 TLS_", strlen("TLSv1.3 TLS_"));
	assert_string_equal(w.client.got.s, yes);
	socktest_say(&w.server, "an answer");
	socktest_run(client_heard, "<proceed/>an answer");
	sock_close(w.client.s, LINGER_MS);
	w.client.s = NULL;
	socktest_run(server_closed, NULL);
	assert_false(w.server.reset);
}

static bool acked_what_raw_has(void *ctx)
{
	(void)ctx;
	return sock_acked(w.client.s) == (uint64_t)socktest_waiting(w.raw) && sock_acked(w.client.s) > 0;
}

static bool raw_has_a_hello(void *ctx)
{
	const size_t clear = *(const size_t *)ctx;

	socktest_raw_read();
	return w.raw_got.len > clear + 5;
}

/* On the wire: all that was written before is clear, nothing that was written after is. */
static void test_what_is_clear(void **state)
{
	static char block[LIMIT - 100];
	size_t clear = sizeof(block);

	(void)state;
	memset(block, 'c', sizeof(block));
	socktest_raw_server(4096); /* the clear text takes many turns to leave */
	assert_int_equal(sock_write(w.client.s, block, sizeof(block)), OK);
	sock_start_tls(w.client.s, w.tls, &as_client);
	socktest_say(&w.client, "a secret");
	socktest_run(acked_what_raw_has, NULL);
	assert_true(nettest_is_quiet(&w.t)); /* the handshake has begun, behind the clear text */
	assert_int_equal(sock_acked(w.client.s), socktest_waiting(w.raw));
	socktest_run(raw_has_a_hello, &clear);
	assert_memory_equal(w.raw_got.s, block, sizeof(block));
	assert_memory_equal(w.raw_got.s + sizeof(block), "\x16\x03", 2);
	assert_null(memmem(w.raw_got.s, w.raw_got.len, "a secret", 8));
	assert_int_equal(sock_acked(w.client.s), sizeof(block));
}

/* --- attacks --- */

/* CVE-2011-0411: what follows the element in clear text must never count as received under TLS. */
static void test_injection_into_server(void **state)
{
	static const char bytes[] = "<starttls/><evil/>";

	(void)state;
	socktest_raw_client();
	w.server.on_input = grant;
	socktest_raw_send(bytes, strlen(bytes));
	socktest_run(server_closed, NULL);
	assert_true(w.server.reset);
	assert_string_equal(w.server.why, "clear text behind the element that starts TLS");
	assert_int_equal(w.server.secured, 0);
	socktest_run(raw_ended, NULL);
	assert_int_equal(w.raw_got.len, 0); /* no <proceed/> either */
}

static void test_injection_into_client(void **state)
{
	static const char bytes[] = "<proceed/> ";

	(void)state;
	socktest_raw_server(0);
	w.client.on_input = granted;
	socktest_raw_send(bytes, strlen(bytes));
	socktest_run(client_closed, NULL);
	assert_true(w.client.reset);
	assert_string_equal(w.client.why, "clear text behind the element that starts TLS");
	socktest_run(raw_ended, NULL);
	assert_int_equal(w.raw_got.len, 0); /* no ClientHello either */
}

static bool raw_has_proceed(void *ctx)
{
	(void)ctx;
	socktest_raw_read();
	return w.raw_got.len >= strlen(yes);
}

/* The same in a packet of its own, before the answer or after it, is no TLS. */
static void test_clear_text_instead_of_a_handshake(void **state)
{
	static const char evil[] = "<message xmlns='jabber:server'><body>evil</body></message>";

	for (int before = 0; before < 2; before++) {
		socktest_raw_client();
		w.server.on_input = grant;
		socktest_raw_send(ask, strlen(ask));
		if (before == 0)
			socktest_run(raw_has_proceed, NULL);
		else
			socktest_run(server_heard, (void *)ask);
		socktest_raw_send(evil, strlen(evil));
		socktest_run(server_closed, NULL);
		assert_true(w.server.reset);
		assert_memory_equal(w.server.why, "TLS: ", 5);
		assert_string_equal(w.server.got.s, ask);
		socktest_teardown(state);
		socktest_setup(state);
	}
}

static size_t use_half(struct end *e, const char *bytes, size_t n)
{
	(void)e;
	(void)bytes;
	return n / 2;
}

static void test_unused_input_closes(void **state)
{
	(void)state;
	socktest_raw_client();
	w.server.on_input = use_half;
	socktest_raw_send("abcd", 4);
	socktest_run(server_closed, NULL);
	assert_true(w.server.reset);
	assert_int_equal(w.server.closed, 1);
}

static size_t die_and_use_nothing(struct end *e, const char *bytes, size_t n)
{
	(void)bytes;
	(void)n;
	sock_destroy(e->s);
	e->s = NULL;
	return 0;
}

static bool server_died(void *ctx)
{
	(void)ctx;
	return w.server.s == NULL;
}

static void test_unused_by_the_dead(void **state)
{
	(void)state;
	socktest_raw_client();
	w.server.on_input = die_and_use_nothing;
	socktest_raw_send("abcd", 4);
	socktest_run(server_died, NULL);
	assert_int_equal(w.server.closed, 0);
}

static void test_gone_during_handshake(void **state)
{
	(void)state;
	socktest_raw_client();
	sock_start_tls(w.server.s, w.tls, &as_server);
	socktest_raw_send("\x16\x03\x01\x02", 4); /* the beginning of a record */
	assert_true(nettest_is_quiet(&w.t));
	close(w.raw);
	w.raw = -1;
	socktest_run(server_closed, NULL);
	assert_true(w.server.reset);
	assert_memory_equal(w.server.why, "TLS: ", 5);
	assert_int_equal(w.server.secured, 0);
	assert_false(sock_is_tls(w.server.s));
}

static void test_begun_at_the_wrong_time(void **state)
{
	(void)state;
	socktest_listen(0);
	socktest_connect(NULL);
	sock_start_tls(w.client.s, w.tls, &as_client);
	socktest_run(client_closed, NULL);
	assert_string_equal(w.client.why, "TLS was to begin twice, or before the connection was there");
	socktest_teardown(state);
	socktest_setup(state);
	socktest_pair(true, 0);
	sock_start_tls(w.client.s, w.tls, &as_client);
	socktest_run(client_closed, NULL);
	assert_true(w.client.reset);
}

static void test_destroyed_while_switching(void **state)
{
	(void)state;
	socktest_pair(false, 0);
	socktest_say(&w.client, "clear");
	sock_start_tls(w.client.s, w.tls, &as_client);
	sock_destroy(w.client.s); /* the session to come goes too */
	w.client.s = NULL;
	sock_start_tls(w.server.s, w.tls, &as_server);
	sock_close(w.server.s, LINGER_MS);
	w.server.s = NULL;
}

/* --- ends --- */

/* A cut by somebody on the way must not look like an orderly end. */
static void test_truncation(void **state)
{
	(void)state;
	socktest_pair(true, 0);
	sock_destroy(w.client.s); /* FIN without close_notify */
	w.client.s = NULL;
	socktest_run(server_closed, NULL);
	assert_true(w.server.reset);
	assert_string_equal(w.server.why, "TLS: closed without close_notify");
}

static void test_orderly_end(void **state)
{
	(void)state;
	socktest_pair(true, 0);
	socktest_say(&w.client, "bye");
	sock_close(w.client.s, LINGER_MS);
	w.client.s = NULL;
	socktest_run(server_closed, NULL);
	assert_false(w.server.reset);
	assert_string_equal(w.server.why, "closed by the peer");
	assert_string_equal(w.server.got.s, "bye");
}

static bool wrote_until_it_failed(void *ctx)
{
	(void)ctx;
	if (w.client.closed == 0)
		assert_int_equal(sock_write(w.client.s, "x", 1), OK);
	return w.client.closed > 0;
}

/*
 * OpenSSL writes with write(2). The second write to a peer that has closed, and answered the first
 * by a reset, raises SIGPIPE: that must not kill the process.
 */
static void test_writing_to_one_who_has_gone(void **state)
{
	(void)state;
	socktest_pair(true, 0);
	sock_pause(w.client.s, true); /* so that writing is what finds out */
	sock_destroy(w.server.s);
	w.server.s = NULL;
	socktest_run(wrote_until_it_failed, NULL);
	assert_true(w.client.reset);
	assert_string_equal(w.client.why, "Broken pipe");
}

/* --- what is known of the peer --- */

static void test_peer_is_known(void **state)
{
	struct certificate_report report;

	(void)state;
	socktest_pair(false, 0);
	assert_null(sock_tls_sni(w.server.s));
	sock_certificate(w.client.s, "corp.test", &report);
	assert_int_equal(report.trust, CERTIFICATE_NONE);
	assert_string_equal(report.why, "there is no TLS");
	socktest_teardown(state);
	socktest_setup(state);
	socktest_pair(true, 0);
	assert_string_equal(sock_tls_sni(w.server.s), "corp.test");
	assert_null(sock_tls_sni(w.client.s));
	sock_certificate(w.client.s, "corp.test", &report);
	assert_int_equal(report.trust, CERTIFICATE_UNTRUSTED);
	assert_string_equal(report.subject, "CN=corp");
	assert_string_equal(report.why, "self-signed; it names no domain (the subject's CN does not count), "
					"so not corp.test either");
	sock_certificate(w.server.s, "corp.test", &report); /* the client has shown the same */
	assert_string_equal(report.subject, "CN=corp");
	sock_destroy(w.client.s);
	w.client.s = NULL;
	socktest_run(server_closed, NULL);
	assert_null(sock_tls_sni(w.server.s));
	sock_certificate(w.server.s, "corp.test", &report);
	assert_int_equal(report.trust, CERTIFICATE_NONE);
}

static bool both_closed(void *ctx)
{
	(void)ctx;
	return w.client.closed > 0 && w.server.closed > 0;
}

/* Each side says whose fault it is. */
static void test_no_certificate_to_show(void **state)
{
	static const struct tls_settings settings = {
		.certificate = "", .key = "", .certificates = "", .ca = ""
	};
	struct tls *without;
	const char *why;

	(void)state;
	assert_int_equal(tls_create(&settings, &without, &why), OK);
	socktest_pair(false, 0);
	sock_start_tls(w.server.s, without, &as_server);
	tls_destroy(without); /* what has begun goes on */
	sock_start_tls(w.client.s, w.tls, &as_client);
	socktest_run(both_closed, NULL);
	assert_string_equal(w.server.why, "TLS: there is no certificate for the name asked for");
	assert_string_equal(w.client.why, "TLS: the peer says: unrecognized name");
}

/* XEP-0368: TLS from the first byte. */
static const struct tls_peer direct_server = { .server = true, .direct = true };
static const struct tls_peer direct_client = { .remote = "corp.test", .direct = true };

static void begin_as_direct_server(struct end *e)
{
	sock_start_tls(e->s, w.tls, &direct_server);
}

static void begin_as_direct_client(struct end *e)
{
	sock_start_tls(e->s, w.tls, &direct_client);
}

static void say_hello(struct end *e)
{
	socktest_say(e, "hello");
}

static void test_direct(void **state)
{
	(void)state;
	w.server.on_accepted = begin_as_direct_server;
	w.client.on_connected = begin_as_direct_client;
	w.client.on_secured = say_hello;
	socktest_listen(0);
	socktest_connect(NULL);
	socktest_run(server_heard, "hello");
	assert_string_equal(sock_tls_sni(w.server.s), "corp.test");
}

/* A stream in clear text on the port for direct TLS. */
static void test_clear_text_for_direct(void **state)
{
	static const char header[] = "<?xml version='1.0'?><stream:stream to='corp.test'>";

	(void)state;
	w.server.on_accepted = begin_as_direct_server;
	socktest_raw_client();
	socktest_raw_send(header, strlen(header));
	socktest_run(server_closed, NULL);
	assert_true(w.server.reset);
	assert_string_equal(w.server.why, "TLS: what the peer sent is not TLS");
	assert_int_equal(w.server.got.len, 0);
}

/* --- a peer with an OpenSSL of its own --- */

static SSL *peer;

static void peer_begins(void)
{
	socktest_raw_client();
	peer = tls_session(w.tls, &as_client);
	SSL_set_fd(peer, w.raw);
	sock_start_tls(w.server.s, w.tls, &as_server);
}

static bool peer_shook_hands(void *ctx)
{
	(void)ctx;
	ERR_clear_error();
	return SSL_do_handshake(peer) == 1 && w.server.secured > 0;
}

enum { UPDATES = 200 };

static int updates;

/* A key update, asking for one in return, between any two bytes. */
static bool updates_are_done(void *ctx)
{
	char answer[64];

	(void)ctx;
	ERR_clear_error();
	(void)SSL_read(peer, answer, sizeof(answer));
	if (updates < UPDATES) {
		assert_int_equal(SSL_key_update(peer, SSL_KEY_UPDATE_REQUESTED), 1);
		if (SSL_write(peer, "x", 1) == 1)
			updates++;
	}
	return w.server.got.len == UPDATES;
}

static void test_key_updates(void **state)
{
	(void)state;
	peer_begins();
	socktest_run(peer_shook_hands, NULL);
	updates = 0;
	socktest_run(updates_are_done, NULL);
	SSL_free(peer);
}

static int peer_error;

static bool peer_heard_the_end(void *ctx)
{
	char c;
	int n;

	(void)ctx;
	ERR_clear_error();
	n = SSL_read(peer, &c, 1);
	peer_error = SSL_get_error(peer, n);
	return n <= 0 && peer_error != SSL_ERROR_WANT_READ;
}

/* close_notify is sent, by the one who closes and in answer. */
static void test_close_notify(void **state)
{
	for (int answer = 0; answer < 2; answer++) {
		peer_begins();
		socktest_run(peer_shook_hands, NULL);
		if (answer == 0) {
			sock_close(w.server.s, LINGER_MS);
			w.server.s = NULL;
		} else {
			assert_int_equal(SSL_shutdown(peer), 0);
			socktest_run(server_closed, NULL);
			assert_false(w.server.reset);
		}
		socktest_run(peer_heard_the_end, NULL);
		assert_int_equal(peer_error, SSL_ERROR_ZERO_RETURN);
		SSL_free(peer);
		socktest_teardown(state);
		socktest_setup(state);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, socktest_setup, socktest_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_switch),
		TEST(test_what_is_clear),
		TEST(test_injection_into_server),
		TEST(test_injection_into_client),
		TEST(test_clear_text_instead_of_a_handshake),
		TEST(test_unused_input_closes),
		TEST(test_unused_by_the_dead),
		TEST(test_gone_during_handshake),
		TEST(test_begun_at_the_wrong_time),
		TEST(test_destroyed_while_switching),
		TEST(test_truncation),
		TEST(test_orderly_end),
		TEST(test_writing_to_one_who_has_gone),
		TEST(test_peer_is_known),
		TEST(test_no_certificate_to_show),
		TEST(test_direct),
		TEST(test_clear_text_for_direct),
		TEST(test_key_updates),
		TEST(test_close_notify),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * tls_sofia.c - sofia-sip's OpenSSL objects: found, and freed.
 *
 * sofia-sip gives neither its contexts nor its connections away, but OpenSSL
 * tells whoever registers application data which objects are made: that is how
 * they are found, in the order in which sofia-sip makes them (a socket BIO, then
 * the SSL for it).
 *
 * COMPAT: sofia-sip 1.12.11 (Debian 12), tport_tls.c. It never frees the SSL of
 * a connection; it frees a reference to its context and one to its BIO instead,
 * neither of which are its own to free. It leaves errors in OpenSSL's queue,
 * which make another connection's next "nothing to read" look like a failure. It
 * has no time-out for a handshake. So here each connection gets the references
 * that will be taken from it, an empty queue before its input and output, and a
 * limit; and when its socket is gone, the SSL is freed. A sofia-sip that does free
 * it takes the record along (on_ssl_freed()). It also forgets the names that it has
 * read from a certificate, for checks that are not used: it finds none.
 *
 * Fatal: OpenSSL has no memory.
 */
#include "bridge/sip/tls_internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <utlist.h>

#include "bridge/core/log.h"

enum { SWEEP_MS = 5000, HANDSHAKE_MS = 20000 };

static struct {
	int context_index, ssl_index, bio_index;
	struct sip_tls *watching; /* a listener is being opened for it */
	BIO *newest;              /* the last BIO that was made, while it lives */
} here = { -1, -1, -1, NULL, NULL };

/* --- connections --- */

/* 0: the descriptor is closed. */
static uint64_t socket_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 ? (uint64_t)st.st_ino : 0;
}

static void forget(struct tls_connection *c)
{
	DL_DELETE(c->tls->connections, c);
	free(c);
}

/* sofia-sip has taken its references, and will not touch it again. */
static void free_ssl(struct tls_connection *c)
{
	SSL *ssl = c->ssl;

	SSL_set_ex_data(ssl, here.ssl_index, NULL);
	forget(c);
	SSL_free(ssl);
}

static void sweep(struct sip_tls *tls)
{
	const int64_t now = loop_now(tls->setup.loop);
	struct tls_connection *c, *next;

	DL_FOREACH_SAFE (tls->connections, c, next) {
		if (socket_of(c->fd) != c->socket)
			free_ssl(c);
		else if (!SSL_is_init_finished(c->ssl) && now - c->began > HANDSHAKE_MS)
			shutdown(c->fd, SHUT_RDWR); /* sofia-sip closes it */
	}
	if (tls->connections != NULL)
		loop_timer_set(tls->sweep, SWEEP_MS);
}

static void on_sweep(void *ctx)
{
	sweep(ctx);
}

/* In a handshake OpenSSL does it, and what it notes then is for note_failure(). */
static long before_io(BIO *bio, int operation, const char *argp, size_t len, int argi, long argl, int ret,
		      size_t *processed)
{
	const SSL *ssl = (const SSL *)BIO_get_callback_arg(bio);

	(void)argp;
	(void)len;
	(void)argi;
	(void)argl;
	(void)processed;
	if ((operation == BIO_CB_READ || operation == BIO_CB_WRITE) && SSL_is_init_finished(ssl))
		ERR_clear_error();
	return ret;
}

static void add_connection(struct sip_tls *tls, SSL *ssl, BIO *bio)
{
	struct tls_connection *c = xcalloc(1, sizeof(*c));

	c->tls = tls;
	c->ssl = ssl;
	c->began = loop_now(tls->setup.loop);
	if (BIO_get_fd(bio, &c->fd) < 0 || BIO_up_ref(bio) != 1 ||
	    SSL_CTX_up_ref(SSL_get_SSL_CTX(ssl)) != 1 || SSL_set_ex_data(ssl, here.ssl_index, c) != 1)
		abort();
	c->socket = socket_of(c->fd);
	BIO_set_callback_arg(bio, (char *)ssl);
	BIO_set_callback_ex(bio, before_io);
	DL_APPEND(tls->connections, c);
	if (!loop_timer_pending(tls->sweep))
		loop_timer_set(tls->sweep, SWEEP_MS);
}

struct tls_connection *tls_connection_of(const SSL *ssl)
{
	struct tls_connection *c = SSL_get_ex_data(ssl, here.ssl_index);
	socklen_t size = sizeof(c->peer);

	if (c != NULL && c->peer.ss_family == AF_UNSPEC &&
	    getpeername(c->fd, (struct sockaddr *)&c->peer, &size) != 0)
		c->peer.ss_family = AF_UNSPEC;
	return c;
}

/* --- what OpenSSL tells --- */

/* The context is not finished yet: tls_sofia_take() comes when the listener is open. */
static void on_context(void *parent, void *data, CRYPTO_EX_DATA *ex, int index, long argl, void *argp)
{
	struct tls_context *context;

	(void)data;
	(void)argl;
	(void)argp;
	if (here.watching == NULL)
		return;
	context = xcalloc(1, sizeof(*context));
	context->tls = here.watching;
	context->ctx = parent;
	if (CRYPTO_set_ex_data(ex, index, context) != 1)
		abort();
	DL_APPEND(here.watching->contexts, context);
}

static void on_context_freed(void *parent, void *data, CRYPTO_EX_DATA *ex, int index, long argl, void *argp)
{
	struct tls_context *context = data;

	(void)parent;
	(void)ex;
	(void)index;
	(void)argl;
	(void)argp;
	if (context == NULL)
		return;
	DL_DELETE(context->tls->contexts, context);
	free(context);
}

static void on_bio(void *parent, void *data, CRYPTO_EX_DATA *ex, int index, long argl, void *argp)
{
	(void)data;
	(void)ex;
	(void)index;
	(void)argl;
	(void)argp;
	here.newest = parent;
}

static void on_bio_freed(void *parent, void *data, CRYPTO_EX_DATA *ex, int index, long argl, void *argp)
{
	(void)data;
	(void)ex;
	(void)index;
	(void)argl;
	(void)argp;
	if (here.newest == parent)
		here.newest = NULL;
}

static void on_ssl(void *parent, void *data, CRYPTO_EX_DATA *ex, int index, long argl, void *argp)
{
	const struct tls_context *context = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(parent), here.context_index);

	(void)data;
	(void)ex;
	(void)index;
	(void)argl;
	(void)argp;
	if (context != NULL && here.newest != NULL && BIO_method_type(here.newest) == BIO_TYPE_SOCKET)
		add_connection(context->tls, parent, here.newest);
	here.newest = NULL;
}

static void on_ssl_freed(void *parent, void *data, CRYPTO_EX_DATA *ex, int index, long argl, void *argp)
{
	(void)parent;
	(void)ex;
	(void)index;
	(void)argl;
	(void)argp;
	if (data != NULL)
		forget(data);
}

/* --- the interface --- */

static void register_with_openssl(void)
{
	if (here.context_index >= 0)
		return;
	here.context_index = SSL_CTX_get_ex_new_index(0, NULL, on_context, NULL, on_context_freed);
	here.ssl_index = SSL_get_ex_new_index(0, NULL, on_ssl, NULL, on_ssl_freed);
	here.bio_index = BIO_get_ex_new_index(0, NULL, on_bio, NULL, on_bio_freed);
	if (here.context_index < 0 || here.ssl_index < 0 || here.bio_index < 0)
		abort();
}

void tls_sofia_begin(struct sip_tls *tls)
{
	register_with_openssl();
	tls->sweep = loop_timer_create(tls->setup.loop, on_sweep, tls);
}

void tls_sofia_hide_names(const SSL *ssl)
{
	X509 *x = SSL_get0_peer_certificate(ssl);
	int at;

	while (x != NULL && (at = X509_get_ext_by_NID(x, NID_subject_alt_name, -1)) >= 0)
		X509_EXTENSION_free(X509_delete_ext(x, at));
}

void tls_sofia_end(struct sip_tls *tls)
{
	struct tls_connection *c, *next;
	struct tls_context *context, *next_context;

	DL_FOREACH_SAFE (tls->connections, c, next)
		free_ssl(c);
	/* With the agent and the last connection they are gone, too. */
	DL_FOREACH_SAFE (tls->contexts, context, next_context) {
		SSL_CTX_set_ex_data(context->ctx, here.context_index, NULL);
		DL_DELETE(tls->contexts, context);
		free(context);
	}
	loop_timer_destroy(tls->sweep);
}

void tls_sofia_watch(struct sip_tls *tls)
{
	here.watching = tls;
}

bool tls_sofia_take(struct sip_tls *tls)
{
	struct tls_context *context;
	bool found = false;

	here.watching = NULL;
	DL_FOREACH (tls->contexts, context) {
		if (context->taken)
			continue;
		tls_take_context(tls, context->ctx);
		context->taken = found = true;
	}
	return found;
}

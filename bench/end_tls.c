/* end_tls.c - see end.h: what an end shows of itself in TLS. It checks nothing. */
#include "bench/end.h"

#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

static SSL_CTX *make(const SSL_METHOD *method, const char *certificate, const char *key)
{
	SSL_CTX *context = SSL_CTX_new(method);

	if (!context || SSL_CTX_use_certificate_chain_file(context, certificate) != 1 ||
	    SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1)
		end_usage("--tls takes CERT,KEY, two files in PEM that belong together\n", 2);
	SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	return context;
}

void end_tls_contexts(const char *files, SSL_CTX **server, SSL_CTX **client)
{
	const char *comma = strchr(files, ',');
	char *certificate = xstrndup(files, comma ? (size_t)(comma - files) : 0);

	*server = make(TLS_server_method(), certificate, comma ? comma + 1 : "");
	*client = make(TLS_client_method(), certificate, comma ? comma + 1 : "");
	free(certificate);
}

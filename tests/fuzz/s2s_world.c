/* The fakes behind s2s_world.h. */
#include "tests/fuzz/s2s_world.h"

#include <string.h>

#include <utlist.h>

#include "tests/fuzz/fuzz.h"
#include "tests/unit/xml_canon.h"

/* The real limits, made small enough that an input can reach them. */
enum { OUTPUT_SCALE = 64 };

struct loop_timer {
	loop_timer_fn *fn;
	void *ctx;
	int64_t at; /* -1: not set */
	struct loop_timer *prev, *next;
};

struct retired {
	void (*destroy)(void *);
	void *obj;
	struct retired *next;
};

struct dns_query {
	dns_done_fn *done;
	dns_tlsa_fn *tlsa_done;
	void *ctx;
	struct dns_query *prev, *next;
};

struct phase_hook {
	loop_phase_fn *fn;
	void *ctx;
};

static struct {
	struct loop_timer *timers;
	struct retired *retired;
	struct dns_query *queries;
	struct phase_hook phases[LOOP_PHASES];
	uint64_t random;
} fakes;

struct world world;

void world_begin(void)
{
	memset(&world, 0, sizeof(world));
	memset(&fakes, 0, sizeof(fakes));
	world.now = 1000;
	world.trust = CERTIFICATE_UNTRUSTED;
	partner_init(&world.partner, "partner.test");
	world.partner.tls = REQUIRE_OPTIONAL;
}

bool strbuf_has(const struct strbuf *b, size_t from, const char *text)
{
	return b->len > from && memmem(b->s + from, b->len - from, text, strlen(text)) != NULL;
}

/* --- what was said must be XML to somebody else, too --- */

static bool is_blank(const char *s, size_t n)
{
	return strspn(s, " ") >= n;
}

static bool ends_with(const char *s, size_t n, const char *tail)
{
	const size_t length = strlen(tail);

	return n >= length && memcmp(s + n - length, tail, length) == 0;
}

static void check_segment(const char *s, size_t n)
{
	static const char tail[] = "</stream:stream>";
	struct strbuf whole = { 0 };

	if (is_blank(s, n))
		return;
	strbuf_add(&whole, s, n);
	if (!ends_with(s, n, tail))
		strbuf_puts(&whole, tail);
	if (!xml_canon_is_complete(whole.s, whole.len)) {
		fprintf(stderr, "not XML: %s\n", whole.s);
		abort();
	}
	strbuf_free(&whole);
}

static void check_output(const struct sock *s)
{
	for (size_t i = 0; i < s->segment_count; i++) {
		const size_t end = i + 1 < s->segment_count ? s->segments[i + 1] : s->out.len;

		check_segment(s->out.s + s->segments[i], end - s->segments[i]);
	}
}

void world_end(void)
{
	struct sock *s, *next;

	CHECK(fakes.timers == NULL);
	CHECK(fakes.retired == NULL);
	CHECK(fakes.queries == NULL);
	LL_FOREACH_SAFE (world.socks, s, next) {
		CHECK(s->gone);
		check_output(s);
		strbuf_free(&s->in);
		strbuf_free(&s->out);
		free(s);
	}
	world.socks = NULL;
}

/* --- loop --- */

int64_t loop_now(const struct loop *loop)
{
	(void)loop;
	return world.now;
}

struct loop_timer *loop_timer_create(struct loop *loop, loop_timer_fn *fn, void *ctx)
{
	struct loop_timer *t = xcalloc(1, sizeof(*t));

	(void)loop;
	t->fn = fn;
	t->ctx = ctx;
	t->at = -1;
	DL_APPEND(fakes.timers, t);
	return t;
}

void loop_timer_set(struct loop_timer *t, int64_t delay_ms)
{
	CHECK(delay_ms >= 0);
	t->at = world.now + delay_ms;
}

void loop_timer_cancel(struct loop_timer *t)
{
	t->at = -1;
}

bool loop_timer_pending(const struct loop_timer *t)
{
	return t->at >= 0;
}

void loop_timer_destroy(struct loop_timer *t)
{
	if (t == NULL)
		return;
	DL_DELETE(fakes.timers, t);
	free(t);
}

void loop_phase_add(struct loop *loop, enum loop_phase phase, loop_phase_fn *fn, void *ctx)
{
	(void)loop;
	fakes.phases[phase] = (struct phase_hook){ fn, ctx };
}

void loop_retire(struct loop *loop, void (*destroy)(void *), void *obj)
{
	struct retired *r = xcalloc(1, sizeof(*r));

	(void)loop;
	r->destroy = destroy;
	r->obj = obj;
	LL_PREPEND(fakes.retired, r);
}

/* The one that has been due for longest. */
static struct loop_timer *due_timer(void)
{
	struct loop_timer *t, *first = NULL;

	DL_FOREACH (fakes.timers, t)
		if (t->at >= 0 && t->at <= world.now && (first == NULL || t->at < first->at))
			first = t;
	return first;
}

void world_retire(void)
{
	struct retired *r;

	while ((r = fakes.retired) != NULL) {
		LL_DELETE(fakes.retired, r);
		r->destroy(r->obj);
		free(r);
	}
}

void world_turn(void)
{
	struct loop_timer *t;

	for (int i = 0; i < 1000 && (t = due_timer()) != NULL; i++) {
		t->at = -1;
		t->fn(t->ctx);
	}
	for (size_t i = 0; i < LOOP_PHASES; i++)
		if (fakes.phases[i].fn != NULL)
			fakes.phases[i].fn(fakes.phases[i].ctx);
	world_retire();
}

/* No listener is configured: nobody asks for a descriptor. */
struct loop_fd *loop_fd_add(struct loop *loop, int fd, unsigned events, loop_fd_fn *fn, void *ctx)
{
	(void)loop, (void)fd, (void)events, (void)fn, (void)ctx;
	abort();
}

void loop_fd_set(struct loop_fd *w, unsigned events)
{
	(void)w, (void)events;
	abort();
}

void loop_fd_remove(struct loop_fd *w)
{
	(void)w;
	abort();
}

/* --- sockets --- */

void sock_setup(struct loop *loop)
{
	(void)loop;
}

void sock_cleanup(struct loop *loop)
{
	(void)loop;
}

static struct sock *make_sock(size_t limit, const struct sock_ops *ops, void *ctx)
{
	struct sock *s = xcalloc(1, sizeof(*s));

	s->ops = ops;
	s->ctx = ctx;
	s->number = world.sock_count++;
	s->limit = limit / OUTPUT_SCALE;
	s->trust = world.trust;
	snprintf(s->name, sizeof(s->name), "192.0.2.%u:5269", s->number % 4);
	LL_PREPEND(world.socks, s);
	return s;
}

struct sock *sock_accept(struct loop *loop, int fd, size_t limit, const struct sock_ops *ops, void *ctx)
{
	(void)loop, (void)fd;
	return make_sock(limit, ops, ctx);
}

struct sock *sock_connect(struct loop *loop, const struct sockaddr *addr, socklen_t len,
			  const struct sockaddr *bind_addr, socklen_t bind_len, size_t limit,
			  const struct sock_ops *ops, void *ctx)
{
	struct sock *s = make_sock(limit, ops, ctx);

	(void)loop, (void)addr, (void)len, (void)bind_addr, (void)bind_len;
	s->client = s->connecting = true;
	return s;
}

static bool is_usable(const struct sock *s)
{
	return !s->gone && !s->ended;
}

/* A stream header may come first, after TLS has begun, or after SASL. */
static bool may_begin(const struct sock *s)
{
	return s->segment_count == 0 || (s->tls_begun && s->tls_segment == s->segment_count) ||
	       (s->client ? strbuf_has(&s->in, 0, "success")
			  : ends_with(s->out.s, s->out.len,
				      "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"));
}

static void note_output(struct sock *s, const char *bytes, size_t n)
{
	if (n > 14 && memcmp(bytes, "<?xml version=", 14) == 0) {
		CHECK(may_begin(s));
		CHECK(s->segment_count < SEGMENTS_MAX);
		s->segments[s->segment_count++] = s->out.len;
	}
	CHECK(s->segment_count > 0);
	CHECK(!ends_with(s->out.s, s->out.len, "</stream:stream>") ||
	      s->segments[s->segment_count - 1] == s->out.len);
}

enum err sock_write(struct sock *s, const void *bytes, size_t n)
{
	CHECK(is_usable(s));
	CHECK(!s->connecting);
	if (s->out.len - s->taken + n > s->limit)
		return ERR_LIMIT;
	note_output(s, bytes, n);
	strbuf_add(&s->out, bytes, n);
	if (!s->stalled)
		s->taken = s->out.len;
	return OK;
}

void sock_start_tls(struct sock *s, const struct tls *tls, const struct tls_peer *peer)
{
	(void)tls;
	CHECK(is_usable(s));
	CHECK(!s->connecting && !s->tls_begun);
	CHECK(peer->server == !s->client);
	s->tls_wanted = s->tls_begun = true;
	s->tls_segment = s->segment_count;
	s->tls_in = s->in.len;
}

bool sock_is_tls(const struct sock *s)
{
	return s->secured;
}

const char *sock_tls_sni(const struct sock *s)
{
	(void)s;
	return NULL;
}

void sock_certificate(const struct sock *s, const char *domain, struct certificate_report *out)
{
	struct sock *told;

	memset(out, 0, sizeof(*out));
	if (!s->secured || s->ended)
		return;
	CHECK(domain[0] != '\0');
	out->trust = s->trust;
	snprintf(out->subject, sizeof(out->subject), "CN=<'\"&>,O=%s", domain);
	snprintf(out->why, sizeof(out->why), "%s", s->trust == CERTIFICATE_UNTRUSTED ? "no & \"good\"" : "");
	LL_SEARCH_SCALAR(world.socks, told, number, s->number);
	str_copy(told->certified, sizeof(told->certified), domain);
}

void sock_tls_describe(const struct sock *s, char *out, size_t size)
{
	snprintf(out, size, "%s", s->secured ? "TLSv1.3" : "");
}

uint64_t sock_offset(const struct sock *s)
{
	CHECK(!s->gone);
	return s->out.len;
}

uint64_t sock_sent(const struct sock *s)
{
	return sock_offset(s);
}

uint64_t sock_acked(struct sock *s)
{
	CHECK(!s->gone);
	return s->acked;
}

void sock_pause(struct sock *s, bool paused)
{
	CHECK(is_usable(s));
	s->paused = paused;
}

const char *sock_peer(const struct sock *s)
{
	CHECK(!s->gone);
	return s->name;
}

void sock_close(struct sock *s, int64_t linger_ms)
{
	(void)linger_ms;
	CHECK(is_usable(s));
	s->gone = true;
}

void sock_abort(struct sock *s)
{
	CHECK(!s->gone);
	s->gone = true;
}

void sock_destroy(struct sock *s)
{
	if (s == NULL)
		return;
	CHECK(!s->gone);
	s->gone = true;
}

struct sock *world_sock(unsigned index)
{
	struct sock *live[64], *s;
	unsigned count = 0;

	LL_FOREACH (world.socks, s)
		if (is_usable(s) && count < ARRAY_SIZE(live))
			live[count++] = s;
	return count > 0 ? live[count - 1 - index % count] : NULL;
}

void world_close(struct sock *s, bool reset)
{
	s->ended = true;
	s->ops->closed(s->ctx, reset, reset ? "reset" : "closed by the peer");
}

void world_input(struct sock *s, const char *bytes, size_t n)
{
	char *exact;
	size_t used;

	if (s->connecting || s->tls_wanted || s->paused || n == 0)
		return;
	exact = xmalloc(n);
	memcpy(exact, bytes, n);
	strbuf_add(&s->in, bytes, n);
	used = s->ops->input(s->ctx, exact, n);
	CHECK(used <= n);
	if (is_usable(s) && used < n)
		world_close(s, true);
	free(exact);
}

void world_connected(struct sock *s)
{
	if (!s->connecting)
		return;
	s->connecting = false;
	s->ops->connected(s->ctx);
}

void world_handshake(struct sock *s, bool success)
{
	if (!s->tls_wanted)
		return;
	s->tls_wanted = false;
	s->secured = success;
	if (success)
		s->ops->secured(s->ctx);
	else
		world_close(s, true);
}

/* --- TLS, DNS, random numbers --- */

bool tls_has_certificate(const struct tls *tls, const char *local_domain)
{
	(void)tls, (void)local_domain;
	return !world.no_certificate;
}

static struct dns_query *ask(dns_done_fn *done, dns_tlsa_fn *tlsa_done, void *ctx)
{
	struct dns_query *q = xcalloc(1, sizeof(*q));

	q->done = done;
	q->tlsa_done = tlsa_done;
	q->ctx = ctx;
	DL_APPEND(fakes.queries, q);
	return q;
}

struct dns_query *dns_s2s(struct dns *dns, const char *domain, uint16_t port, dns_done_fn *done, void *ctx)
{
	(void)dns, (void)domain, (void)port;
	return ask(done, NULL, ctx);
}

struct dns_query *dns_host(struct dns *dns, const char *host, uint16_t port, dns_done_fn *done, void *ctx)
{
	(void)dns, (void)host, (void)port;
	return ask(done, NULL, ctx);
}

struct dns_query *dns_tlsa(struct dns *dns, const char *host, uint16_t port, dns_tlsa_fn *done, void *ctx)
{
	(void)dns, (void)host, (void)port;
	return ask(NULL, done, ctx);
}

struct dns_tlsa *dns_tlsa_copy(const struct dns_tlsa *records, size_t count)
{
	struct dns_tlsa *copy = xcalloc(count, sizeof(*copy));

	memcpy(copy, records, count * sizeof(*copy));
	return copy;
}

void dns_cancel(struct dns_query *query)
{
	if (query == NULL)
		return;
	DL_DELETE(fakes.queries, query);
	free(query);
}

static enum dns_status status_of(size_t targets)
{
	if (targets == SIZE_MAX)
		return DNS_FAILURE;
	return targets > 0 ? DNS_OK : DNS_NONE;
}

void world_answer_dns(size_t targets, bool direct_tls, bool secure)
{
	static const struct dns_tlsa record = {
		.usage = 3, .selector = 1, .matching = 1, .data = (const unsigned char *)"x", .size = 1
	};
	struct dns_target found[4];
	struct dns_query *q = fakes.queries;
	const size_t count = targets < ARRAY_SIZE(found) ? targets : 0;

	if (q == NULL)
		return;
	DL_DELETE(fakes.queries, q);
	memset(found, 0, sizeof(found));
	for (size_t i = 0; i < count; i++) {
		str_copy(found[i].host, sizeof(found[i].host), "xmpp.partner.test");
		found[i].port = 5269;
		found[i].direct_tls = direct_tls && i == 0;
		found[i].secure = secure;
	}
	if (q->done != NULL)
		q->done(q->ctx, status_of(targets), found, count);
	else
		q->tlsa_done(q->ctx, status_of(targets), &record, count > 0);
	free(q);
}

/* OpenSSL's and libc's, in their place: the same input does the same each time. */
int RAND_bytes(unsigned char *bytes, int n);
uint32_t arc4random_uniform(uint32_t bound);

static uint64_t next_random(void)
{
	fakes.random = fakes.random * 6364136223846793005u + 1442695040888963407u;
	return fakes.random >> 33;
}

int RAND_bytes(unsigned char *bytes, int n)
{
	for (int i = 0; i < n; i++)
		bytes[i] = (unsigned char)next_random();
	return 1;
}

uint32_t arc4random_uniform(uint32_t bound)
{
	return bound > 0 ? (uint32_t)(next_random() % bound) : 0;
}

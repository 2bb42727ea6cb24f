/*
 * loop.h - the one event loop: descriptors, timers, signals, the phases that
 * end a turn, and deferred destruction.
 *
 * The loop is the only owner of sofia-sip's su_root; the SIP endpoint asks for
 * it with loop_root(). A turn is: handle events (memory only); LOOP_COMMIT
 * hooks; LOOP_FLUSH hooks (write what the commit permits); free what was
 * retired. An object that a callback may still be using is never freed
 * directly but given to loop_retire().
 *
 * Times are monotonic milliseconds.
 */
#ifndef POOLBRIDGE_CORE_LOOP_H
#define POOLBRIDGE_CORE_LOOP_H

#include "bridge/core/base.h"

struct loop;
struct loop_fd;
struct loop_timer;

struct loop *loop_create(void);
void loop_destroy(struct loop *loop);
void loop_run(struct loop *loop);          /* returns after loop_stop() */
void loop_stop(struct loop *loop);         /* at the end of the present turn */
void *loop_root(struct loop *loop);        /* su_root_t *, for bridge/sip/ only */
int64_t loop_now(const struct loop *loop); /* taken once per turn */

enum { LOOP_READ = 1, LOOP_WRITE = 2 };
typedef void loop_fd_fn(void *ctx, unsigned events); /* hang-up and error come as LOOP_READ */

/* The caller keeps the descriptor and closes it, after loop_fd_remove(). */
struct loop_fd *loop_fd_add(struct loop *loop, int fd, unsigned events, loop_fd_fn *fn, void *ctx);
void loop_fd_set(struct loop_fd *w, unsigned events); /* no system call when unchanged */
void loop_fd_remove(struct loop_fd *w);               /* also from its own callback; NULL is allowed */

typedef void loop_timer_fn(void *ctx);
struct loop_timer *loop_timer_create(struct loop *loop, loop_timer_fn *fn, void *ctx);
void loop_timer_set(struct loop_timer *t, int64_t delay_ms); /* one shot; replaces a pending one */
void loop_timer_cancel(struct loop_timer *t);
bool loop_timer_pending(const struct loop_timer *t);
void loop_timer_destroy(struct loop_timer *t); /* also from its own callback; NULL is allowed */

typedef void loop_signal_fn(void *ctx, int signo);
/* Blocks the signal and delivers it as an event (signalfd). */
void loop_signal(struct loop *loop, int signo, loop_signal_fn *fn, void *ctx);

enum loop_phase { LOOP_COMMIT, LOOP_FLUSH, LOOP_PHASES };
typedef void loop_phase_fn(void *ctx);
void loop_phase_add(struct loop *loop, enum loop_phase phase, loop_phase_fn *fn, void *ctx);

/* Free obj with destroy() after the present turn's phases. */
void loop_retire(struct loop *loop, void (*destroy)(void *), void *obj);

#endif

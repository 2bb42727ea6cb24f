/*
 * faultvfs.h - SQLite's file system with a disk that can be told to fail: at one
 * call, or from it on. It stands before the real one and becomes the default of
 * every connection that is opened after faultvfs_install().
 */
#ifndef POOLBRIDGE_TESTS_FAULTVFS_H
#define POOLBRIDGE_TESTS_FAULTVFS_H

#include <stdbool.h>

enum fault_mode {
	FAULT_EIO,  /* whatever reads, writes, syncs, opens, locks: an I/O error */
	FAULT_FULL, /* whatever takes more room: the disk is full */
	FAULT_BUSY, /* every lock: somebody else has it */
	FAULT_MODES
};

void faultvfs_install(void);
/*
 * Of the calls that this mode makes fail, the one with this number, counted from 1 and from now on, fails;
 * for_good: and all after it. 0: none, but they are counted.
 */
void faultvfs_arm(enum fault_mode mode, int number, bool for_good);
/* The disk works from now on; what was counted and what failed is remembered. */
void faultvfs_disarm(void);
/* While it is held, nothing fails and nothing is counted: for what only looks. */
void faultvfs_hold(bool on);
int faultvfs_calls(void);     /* counted since it was armed */
int faultvfs_last_sync(void); /* its number among them */
bool faultvfs_fired(void);    /* something was made to fail since it was armed */
/* The call that failed first: "xSync", ...; "" for none. */
const char *faultvfs_what(void);

/*
 * From now on each sync of FILE leaves in FILE.cut what a power cut would leave of it then, at worst:
 * nothing that was not synced; of FILE-wal in FILE.cut-wal.
 */
void faultvfs_keep_cuts(bool on);

#endif

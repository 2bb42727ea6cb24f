/*
 * faultvfs.c - see faultvfs.h.
 *
 * Every method hands its call on to the default file system of SQLite, unless it
 * is this one's turn to fail. An unlock never fails: SQLite does not look.
 */
#include "tests/unit/faultvfs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sqlite3.h>

struct file {
	sqlite3_file base;
	sqlite3_file *real; /* behind this struct */
	char path[256];
};

static sqlite3_vfs *real_vfs;
static sqlite3_vfs vfs;
static enum fault_mode mode;
static bool armed, held, for_good, fired, cuts;
static int fatal_number, calls, last_sync;
static const char *what = "";

void faultvfs_arm(enum fault_mode new_mode, int number, bool good)
{
	mode = new_mode;
	fatal_number = number;
	for_good = good;
	calls = 0;
	last_sync = 0;
	what = "";
	fired = false;
	armed = true;
}

void faultvfs_disarm(void)
{
	armed = false;
}

void faultvfs_hold(bool on)
{
	held = on;
}

int faultvfs_calls(void)
{
	return calls;
}

int faultvfs_last_sync(void)
{
	return last_sync;
}

bool faultvfs_fired(void)
{
	return fired;
}

const char *faultvfs_what(void)
{
	return what;
}

void faultvfs_keep_cuts(bool on)
{
	cuts = on;
}

/* SQLITE_OK: hand it on. 0 for a mode in which this call does not fail. */
static int fault(const char *method, int eio, int full, int busy)
{
	const int codes[FAULT_MODES] = { eio, full, busy };

	if (!armed || held || codes[mode] == 0)
		return SQLITE_OK;
	calls++;
	if (fatal_number == 0 || calls < fatal_number || (calls > fatal_number && !for_good))
		return SQLITE_OK;
	if (!fired)
		what = method;
	fired = true;
	return codes[mode];
}

static sqlite3_file *real_of(sqlite3_file *f)
{
	return ((struct file *)f)->real;
}

/* --- a file --- */

static int file_close(sqlite3_file *f)
{
	return real_of(f)->pMethods->xClose(real_of(f));
}

static int file_read(sqlite3_file *f, void *to, int size, sqlite3_int64 at)
{
	int rc = fault("xRead", SQLITE_IOERR_READ, 0, 0);

	return rc != SQLITE_OK ? rc : real_of(f)->pMethods->xRead(real_of(f), to, size, at);
}

static int file_write(sqlite3_file *f, const void *from, int size, sqlite3_int64 at)
{
	int rc = fault("xWrite", SQLITE_IOERR_WRITE, SQLITE_FULL, 0);

	return rc != SQLITE_OK ? rc : real_of(f)->pMethods->xWrite(real_of(f), from, size, at);
}

static int file_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	int rc = fault("xTruncate", SQLITE_IOERR_TRUNCATE, 0, 0);

	return rc != SQLITE_OK ? rc : real_of(f)->pMethods->xTruncate(real_of(f), size);
}

static void keep_cut(struct file *f)
{
	static const char log[] = "-wal";
	size_t length = strlen(f->path);
	bool is_log = length > 4 && strcmp(f->path + length - 4, log) == 0;
	char path[300], block[4096];
	sqlite3_int64 size = 0;
	FILE *out;

	snprintf(path, sizeof(path), "%.*s.cut%s", (int)(is_log ? length - 4 : length), f->path,
		 is_log ? log : "");
	assert_int_equal(f->real->pMethods->xFileSize(f->real, &size), SQLITE_OK);
	out = fopen(path, "w");
	assert_non_null(out);
	for (sqlite3_int64 at = 0; at < size; at += (sqlite3_int64)sizeof(block)) {
		size_t n = size - at < (sqlite3_int64)sizeof(block) ? (size_t)(size - at) : sizeof(block);

		assert_int_equal(f->real->pMethods->xRead(f->real, block, (int)n, at), SQLITE_OK);
		assert_int_equal(fwrite(block, 1, n, out), n);
	}
	assert_int_equal(fclose(out), 0);
}

static int file_sync(sqlite3_file *f, int flags)
{
	int rc = fault("xSync", SQLITE_IOERR_FSYNC, 0, 0);

	(void)flags;
	last_sync = calls;
	if (rc == SQLITE_OK && cuts)
		keep_cut((struct file *)f);
	return rc;
}

static int file_size(sqlite3_file *f, sqlite3_int64 *size)
{
	int rc = fault("xFileSize", SQLITE_IOERR_FSTAT, 0, 0);

	return rc != SQLITE_OK ? rc : real_of(f)->pMethods->xFileSize(real_of(f), size);
}

static int file_lock(sqlite3_file *f, int level)
{
	int rc = fault("xLock", SQLITE_IOERR_LOCK, 0, SQLITE_BUSY);

	return rc != SQLITE_OK ? rc : real_of(f)->pMethods->xLock(real_of(f), level);
}

static int file_unlock(sqlite3_file *f, int level)
{
	return real_of(f)->pMethods->xUnlock(real_of(f), level);
}

static int file_is_reserved(sqlite3_file *f, int *out)
{
	return real_of(f)->pMethods->xCheckReservedLock(real_of(f), out);
}

static int file_control(sqlite3_file *f, int op, void *argument)
{
	return real_of(f)->pMethods->xFileControl(real_of(f), op, argument);
}

static int file_sector_size(sqlite3_file *f)
{
	return real_of(f)->pMethods->xSectorSize(real_of(f));
}

static int file_device(sqlite3_file *f)
{
	return real_of(f)->pMethods->xDeviceCharacteristics(real_of(f));
}

static int file_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **out)
{
	int rc = fault("xShmMap", SQLITE_IOERR_SHMMAP, extend ? SQLITE_IOERR_SHMSIZE : 0, 0);

	return rc != SQLITE_OK ? rc : real_of(f)->pMethods->xShmMap(real_of(f), page, size, extend, out);
}

/*
 * Somebody else writes, or copies the log: that is to be busy. A reader's own lock is not refused by others
 * for longer than a moment, and SQLite asks for it again for ten seconds.
 */
static int file_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
	int rc = SQLITE_OK;

	if (!(flags & SQLITE_SHM_UNLOCK))
		rc = fault("xShmLock", SQLITE_IOERR_SHMLOCK, 0,
			   flags & SQLITE_SHM_EXCLUSIVE ? SQLITE_BUSY : 0);
	return rc != SQLITE_OK ? rc : real_of(f)->pMethods->xShmLock(real_of(f), offset, n, flags);
}

static void file_shm_barrier(sqlite3_file *f)
{
	real_of(f)->pMethods->xShmBarrier(real_of(f));
}

static int file_shm_unmap(sqlite3_file *f, int remove)
{
	return real_of(f)->pMethods->xShmUnmap(real_of(f), remove);
}

static const sqlite3_io_methods methods = {
	.iVersion = 2, /* no mmap */
	.xClose = file_close,
	.xRead = file_read,
	.xWrite = file_write,
	.xTruncate = file_truncate,
	.xSync = file_sync,
	.xFileSize = file_size,
	.xLock = file_lock,
	.xUnlock = file_unlock,
	.xCheckReservedLock = file_is_reserved,
	.xFileControl = file_control,
	.xSectorSize = file_sector_size,
	.xDeviceCharacteristics = file_device,
	.xShmMap = file_shm_map,
	.xShmLock = file_shm_lock,
	.xShmBarrier = file_shm_barrier,
	.xShmUnmap = file_shm_unmap,
};

/* --- the file system --- */

static int vfs_open(sqlite3_vfs *v, const char *name, sqlite3_file *base, int flags, int *out_flags)
{
	struct file *f = (struct file *)base;
	int rc = fault("xOpen", SQLITE_CANTOPEN, 0, 0);

	(void)v;
	f->base.pMethods = NULL;
	f->real = (sqlite3_file *)(f + 1);
	snprintf(f->path, sizeof(f->path), "%s", name != NULL ? name : "");
	if (rc == SQLITE_OK)
		rc = real_vfs->xOpen(real_vfs, name, f->real, flags, out_flags);
	if (rc == SQLITE_OK)
		f->base.pMethods = &methods;
	return rc;
}

static int vfs_delete(sqlite3_vfs *v, const char *name, int sync)
{
	int rc = fault("xDelete", SQLITE_IOERR_DELETE, 0, 0);

	(void)v;
	return rc != SQLITE_OK ? rc : real_vfs->xDelete(real_vfs, name, sync);
}

static int vfs_access(sqlite3_vfs *v, const char *name, int flags, int *out)
{
	int rc = fault("xAccess", SQLITE_IOERR_ACCESS, 0, 0);

	(void)v;
	return rc != SQLITE_OK ? rc : real_vfs->xAccess(real_vfs, name, flags, out);
}

void faultvfs_install(void)
{
	if (real_vfs != NULL)
		return;
	real_vfs = sqlite3_vfs_find(NULL);
	assert_non_null(real_vfs);
	vfs = *real_vfs;
	vfs.pNext = NULL;
	vfs.zName = "fault";
	vfs.szOsFile = (int)sizeof(struct file) + real_vfs->szOsFile;
	vfs.xOpen = vfs_open;
	vfs.xDelete = vfs_delete;
	vfs.xAccess = vfs_access;
	assert_int_equal(sqlite3_vfs_register(&vfs, 1), SQLITE_OK);
}

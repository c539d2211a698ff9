/* The wall clock of one process, off by what a file says: preloaded (LD_PRELOAD), it stands before libc's own functions.
 *
 * WALL_CLOCK_FILE is a file of 8 bytes, the offset in seconds as a whole number of this machine's byte order; it may change at any time. The
 * monotonic clock stays right, as on a machine whose clock is set. So do waits until a moment of the wall clock: their moment was reckoned
 * by the wrong clock, and libc, which waits by the right one, is given the right moment.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

typedef int wait_on_condition(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
typedef int wait_on_semaphore(sem_t *, const struct timespec *);

static const volatile int64_t *offset;
static wait_on_condition *libc_cond_timedwait;
static wait_on_semaphore *libc_sem_timedwait;

/* What cannot move the clock must not let a test pass. */
__attribute__((constructor)) static void begin(void) {
    const char *name = getenv("WALL_CLOCK_FILE");
    int file = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
    void *found = file < 0 ? MAP_FAILED : mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
    /* Where an older one is kept for older programs, the one of today has this version. */
    void *cond = dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
    libc_cond_timedwait = (wait_on_condition *)(cond ? cond : dlsym(RTLD_NEXT, "pthread_cond_timedwait"));
    libc_sem_timedwait = (wait_on_semaphore *)dlsym(RTLD_NEXT, "sem_timedwait");
    if (found == MAP_FAILED || !libc_cond_timedwait || !libc_sem_timedwait) abort();
    close(file);
    offset = found;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = (int)syscall(SYS_clock_gettime, clock, now);
    if (!failed && offset && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += *offset;
    return failed;
}

int gettimeofday(struct timeval *now, void *zone) {
    (void)zone;
    struct timespec found;
    clock_gettime(CLOCK_REALTIME, &found);
    now->tv_sec = found.tv_sec;
    now->tv_usec = found.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *now) {
    struct timespec found;
    clock_gettime(CLOCK_REALTIME, &found);
    if (now) *now = found.tv_sec;
    return found.tv_sec;
}

static struct timespec right_moment(const struct timespec *moment) {
    struct timespec right = *moment;
    if (offset) right.tv_sec -= *offset;
    return right;
}

int sem_timedwait(sem_t *semaphore, const struct timespec *moment) {
    struct timespec right = right_moment(moment);
    return libc_sem_timedwait(semaphore, &right);
}

int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *moment) {
    /* A condition may go by the monotonic clock, which counts from the machine's start: no machine runs for thirty years. */
    struct timespec right = moment->tv_sec < 1000000000 ? *moment : right_moment(moment);
    return libc_cond_timedwait(condition, mutex, &right);
}

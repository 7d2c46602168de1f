/* A disk that takes a quarter of a second to make anything durable: loaded into a process by LD_PRELOAD. */
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <unistd.h>

int fsync(int file) {
    usleep(250000);
    return (int)syscall(SYS_fsync, file);
}

int fdatasync(int file) {
    usleep(250000);
    return (int)syscall(SYS_fdatasync, file);
}

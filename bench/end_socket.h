/* end_socket.h - between end.c and end_socket.c: the sockets of a playing end. What fails ends the program. */
#ifndef POOLBRIDGE_BENCH_END_SOCKET_H
#define POOLBRIDGE_BENCH_END_SOCKET_H

#include "bench/end.h"

/* TCP, connecting. refused: it was, at once. */
int socket_connect(const struct sockaddr_in *to, const struct sockaddr_in *from, bool *refused);
int socket_datagrams(const struct sockaddr_in *at, const struct sockaddr_in *to);
/* Waits for half a minute where somebody else still listens. */
int socket_listen(const struct sockaddr_in *at);
/* Whatever comes is dropped in the kernel, and not even TCP answers. */
void socket_drop_all(int fd, bool on);

#endif

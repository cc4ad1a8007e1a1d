/* SPDX-License-Identifier: Apache-2.0 */

/* Prints the addresses of a name, one a line: by getaddrinfo(3), or with
 * WITH_ARES by c-ares. Exit status 1: there are none. */

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>

#ifdef WITH_ARES
#include <ares.h>

static int n_found;

static void print_hosts(void *arg, int status, int timeouts,
			struct hostent *host)
{
	(void)arg;
	(void)timeouts;
	for (char **at = status == ARES_SUCCESS ? host->h_addr_list : NULL;
	     at && *at; at++, n_found++) {
		char text[INET6_ADDRSTRLEN];

		(void)puts(
			inet_ntop(host->h_addrtype, *at, text, sizeof(text)));
	}
}

static int look_up(const char *name)
{
	ares_channel channel;

	if (ares_library_init(ARES_LIB_INIT_ALL) || ares_init(&channel))
		return 2;
	ares_gethostbyname(channel, name, AF_INET, print_hosts, NULL);
	ares_gethostbyname(channel, name, AF_INET6, print_hosts, NULL);
	for (;;) {
		struct timeval wait = { .tv_sec = 5 };
		fd_set reads, writes;
		int n;

		FD_ZERO(&reads);
		FD_ZERO(&writes);
		n = ares_fds(channel, &reads, &writes);
		if (n == 0)
			break;
		(void)select(n, &reads, &writes, NULL,
			     ares_timeout(channel, &wait, &wait));
		ares_process(channel, &reads, &writes);
	}
	ares_destroy(channel);
	return n_found ? 0 : 1;
}
#else
static int look_up(const char *name)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *found = NULL;

	if (getaddrinfo(name, "80", &hints, &found) != 0)
		return 1;
	for (struct addrinfo *at = found; at; at = at->ai_next) {
		char text[64];

		if (getnameinfo(at->ai_addr, at->ai_addrlen, text, sizeof(text),
				NULL, 0, NI_NUMERICHOST) == 0)
			(void)puts(text);
	}
	freeaddrinfo(found);
	return 0;
}
#endif

int main(int argc, char **argv)
{
	return argc == 2 ? look_up(argv[1]) : 2;
}

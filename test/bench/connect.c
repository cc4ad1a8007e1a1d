/* SPDX-License-Identifier: Apache-2.0 */

/* bench-connect OBJECT ROUNDS TARGETS NAME=CGROUP...: what a connect() costs under the
 * programs of a cgroup. A socket belongs to the cgroup in which it was made, so
 * one process has a socket in each and lets them take turns. Connected UDP, so
 * that nothing but the call is measured. On standard input: prefixes, one a
 * line; the first TARGETS host prefixes among them are the destinations. NAME
 * `empty` and `trie` get the program of that name from OBJECT, the trie with the same
 * prefixes. Prints one JSON line for each name: ns of one call in each round. */

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "shared/util.h"
#include "test/bench/prefixes.h"

enum {
	CALLS = 256, /* of one round */
	NAMES_MAX = 8,
	ROUNDS_MAX = 4096,
	TARGETS_MAX = 1 << 20,
};

struct series {
	const char *name;
	const char *cgroup;
	int fd;
	double samples[ROUNDS_MAX];
};

static struct series all[NAMES_MAX];
static size_t n_series;
static struct sockaddr_in *targets;
static size_t n_targets;
static struct bpf_object *object;

static uint64_t now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * SN_NS_PER_S + (uint64_t)now.tv_nsec;
}

static void load(const char *path)
{
	struct bpf_program *program;
	struct bpf_map *map;

	object = bpf_object__open_file(path, NULL);
	if (!object)
		err(1, "%s", path);
	bpf_object__for_each_program(program, object)
		(void)bpf_program__set_autoload(
			program, bpf_program__type(program) ==
					 BPF_PROG_TYPE_CGROUP_SOCK_ADDR);
	map = bpf_object__find_map_by_name(object, "bench_lpm4");
	if (!map || bpf_map__set_max_entries(map, TARGETS_MAX) ||
	    bpf_object__load(object))
		err(1, "loading %s", path);
}

static void read_prefixes(void)
{
	int trie = bpf_object__find_map_fd_by_name(object, "bench_lpm4");
	struct bench_lpm_value value = { .verdict = SN_VERDICT_ALLOW };
	char line[64];

	targets = calloc(TARGETS_MAX, sizeof(*targets));
	if (!targets)
		err(1, "targets");
	while (n_targets < TARGETS_MAX && fgets(line, sizeof(line), stdin)) {
		struct bench_lpm4_key key = { .prefix_bits = 32 };
		char *slash = strchr(line, '/');

		line[strcspn(line, "/\n")] = '\0';
		if (slash)
			key.prefix_bits =
				(uint32_t)strtoul(slash + 1, NULL, 10);
		if (inet_pton(AF_INET, line, key.address) != 1)
			errx(2, "'%s' is no address", line);
		if (bpf_map_update_elem(trie, &key, &value, BPF_ANY))
			err(1, "trie");
		if (key.prefix_bits < 32)
			continue;
		targets[n_targets].sin_family = AF_INET;
		targets[n_targets].sin_port = htons(443);
		(void)memcpy(&targets[n_targets++].sin_addr, key.address, 4);
	}
}

static void write_pid(const char *cgroup)
{
	sn_cleanup(sn_closep) int fd = -1;
	char path[512];

	(void)snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) != 1)
		err(1, "%s", path);
}

static void attach(const char *cgroup, const char *program_name)
{
	const struct bpf_program *program =
		bpf_object__find_program_by_name(object, program_name);
	sn_cleanup(sn_closep) int fd =
		open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || !program || !bpf_program__attach_cgroup(program, fd))
		err(1, "attaching %s", program_name);
}

static void prepare(struct series *s, char *argument)
{
	char *equals = strchr(argument, '=');

	if (!equals)
		errx(2, "'%s' is not NAME=CGROUP", argument);
	*equals = '\0';
	s->name = argument;
	s->cgroup = equals + 1;
	write_pid(s->cgroup);
	s->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (s->fd < 0)
		err(1, "socket");
	if (strcmp(s->name, "empty") == 0)
		attach(s->cgroup, "bench_connect_empty");
	else if (strcmp(s->name, "trie") == 0)
		attach(s->cgroup, "bench_connect_trie");
}

/* Every round has destinations of its own, the same for each series. */
static double run(const struct series *s, uint64_t random)
{
	uint64_t start = now_ns();

	for (int i = 0; i < CALLS; i++) {
		const struct sockaddr_in *to =
			&targets[bench_random(&random) % n_targets];

		if (connect(s->fd, (const struct sockaddr *)to, sizeof(*to)))
			err(1, "wrong: connect under '%s'", s->name);
	}
	return (double)(now_ns() - start) / CALLS;
}

int main(int argc, char **argv)
{
	uint64_t random = 1;
	uint32_t n_rounds;

	if (argc < 5 || argc > 4 + NAMES_MAX)
		errx(2, "usage: bench-connect OBJECT ROUNDS TARGETS"
			" NAME=CGROUP...");
	n_rounds = (uint32_t)strtoul(argv[2], NULL, 10);
	if (n_rounds < 1 || n_rounds > ROUNDS_MAX)
		errx(2, "rounds: 1 to %d", ROUNDS_MAX);
	load(argv[1]);
	read_prefixes();
	n_targets = SN_MIN(n_targets, strtoul(argv[3], NULL, 10));
	if (!n_targets)
		errx(2, "no destination");
	for (int i = 4; i < argc; i++)
		prepare(&all[n_series++], argv[i]);
	for (uint32_t round = 0; round <= n_rounds; round++) {
		(void)bench_random(&random);
		for (size_t i = 0; i < n_series; i++) {
			double ns = run(&all[i], random);

			if (round)
				all[i].samples[round - 1] = ns;
		}
	}
	for (size_t i = 0; i < n_series; i++) {
		(void)printf("{\"variant\": \"%s\", \"samples\": [",
			     all[i].name);
		for (uint32_t k = 0; k < n_rounds; k++)
			(void)printf("%s%.2f", k ? ", " : "",
				     all[i].samples[k]);
		(void)printf("]}\n");
	}
	return 0;
}

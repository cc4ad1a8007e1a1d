// SPDX-License-Identifier: Apache-2.0
#include "controld/dns/doh.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "controld/policy/subject.h"

#define BLANKS " \t"

enum {
	LINE_BYTES = CP_DNS_NAME_TEXT_BYTES,
};

/* Both arrays are sorted and have nothing twice. */
struct cp_dns_doh {
	struct cp_dns_name *names;
	size_t n_names;
	struct cp_policy_cidr *addresses;
	size_t n_addresses;
};

struct cp_dns_doh *cp_dns_doh_free(struct cp_dns_doh *doh)
{
	if (!doh)
		return NULL;
	free(doh->names);
	free(doh->addresses);
	free(doh);
	return NULL;
}

static int compare_wire(const uint8_t *a, size_t a_size, const uint8_t *b,
			size_t b_size)
{
	if (a_size != b_size)
		return a_size < b_size ? -1 : 1;
	return memcmp(a, b, a_size);
}

static int compare_names(const void *a, const void *b)
{
	const struct cp_dns_name *x = a, *y = b;

	return compare_wire(x->wire, x->size, y->wire, y->size);
}

static int compare_cidrs(const void *a, const void *b)
{
	return cp_policy_cidr_compare(a, b);
}

static size_t sort(void *items, size_t n, size_t size,
		   int (*compare)(const void *a, const void *b))
{
	char *bytes = items;
	size_t kept = 0;

	/* qsort() must not be given NULL, not even for nothing. */
	if (n == 0)
		return 0;
	qsort(items, n, size, compare);
	for (size_t i = 1; i < n; i++) {
		if (compare(bytes + kept * size, bytes + i * size) == 0)
			continue;
		kept++;
		(void)memmove(bytes + kept * size, bytes + i * size, size);
	}
	return kept + 1;
}

/* One entry more in an array that has room for a power of two. */
static int append(void **items, size_t *n, size_t size, const void *item)
{
	void *grown;

	if ((*n & (*n - 1)) == 0) {
		grown = reallocarray(*items, *n ? *n * 2 : 1, size);
		if (!grown)
			return -ENOMEM;
		*items = grown;
	}
	(void)memcpy((char *)*items + *n * size, item, size);
	(*n)++;
	return 0;
}

static int put_name(struct cp_dns_doh *doh, const struct cp_dns_name *name,
		    struct sn_diag *diag)
{
	void *names = doh->names;
	int r;

	if (name->size == 1) {
		sn_diag_set(diag, NULL, "the root is no server");
		return CP_DNS_DOH_E_REFUSED;
	}
	if (doh->n_names == CP_DNS_DOH_NAMES_MAX) {
		sn_diag_set(diag, NULL, "there are more than %d names",
			    CP_DNS_DOH_NAMES_MAX);
		return CP_DNS_DOH_E_REFUSED;
	}
	r = append(&names, &doh->n_names, sizeof(*name), name);
	doh->names = names;
	return r;
}

static int put_address(struct cp_dns_doh *doh,
		       const struct cp_policy_cidr *cidr, struct sn_diag *diag)
{
	void *addresses = doh->addresses;
	int r;

	if (!cp_policy_cidr_is_host(cidr)) {
		sn_diag_set(diag, NULL,
			    "a prefix cannot be listed; give each address");
		return CP_DNS_DOH_E_REFUSED;
	}
	if (doh->n_addresses == CP_DNS_DOH_ADDRESSES_MAX) {
		sn_diag_set(diag, NULL, "there are more than %d addresses",
			    CP_DNS_DOH_ADDRESSES_MAX);
		return CP_DNS_DOH_E_REFUSED;
	}
	r = append(&addresses, &doh->n_addresses, sizeof(*cidr), cidr);
	doh->addresses = addresses;
	return r;
}

/* A line without its end. */
static int take_line(struct cp_dns_doh *doh, const char *line, size_t size,
		     struct sn_diag *diag)
{
	const char *comment = memchr(line, '#', size);
	struct cp_policy_subject subject;
	char text[LINE_BYTES + 1];
	char *begin = text;
	size_t n;

	if (comment)
		size = (size_t)(comment - line);
	if (size > LINE_BYTES || memchr(line, '\0', size)) {
		sn_diag_set(diag, NULL, "%s",
			    size > LINE_BYTES ? "the line is too long" :
						"the line has a NUL");
		return CP_DNS_DOH_E_REFUSED;
	}
	(void)memcpy(text, line, size);
	text[size] = '\0';
	begin += strspn(begin, BLANKS);
	n = strlen(begin);
	while (n > 0 && strchr(BLANKS "\r", begin[n - 1]))
		begin[--n] = '\0';
	if (n == 0)
		return 0;
	if (cp_policy_subject_parse(begin, &subject, diag) != 0)
		return CP_DNS_DOH_E_REFUSED;
	return subject.is_name ? put_name(doh, &subject.name, diag) :
				 put_address(doh, &subject.cidr, diag);
}

int cp_dns_doh_parse(const char *text, size_t size, const char *file,
		     struct cp_dns_doh **ret, struct sn_diag *diag)
{
	sn_cleanup(cp_dns_doh_freep) struct cp_dns_doh *doh = NULL;
	unsigned int line = 0;
	int r;

	doh = calloc(1, sizeof(*doh));
	if (!doh)
		return -ENOMEM;
	if (size > CP_DNS_DOH_FILE_BYTES) {
		sn_diag_set(diag, NULL, "is larger than %d bytes",
			    CP_DNS_DOH_FILE_BYTES);
		sn_diag_at(diag, file, 0);
		return CP_DNS_DOH_E_REFUSED;
	}
	while (size > 0) {
		const char *end = memchr(text, '\n', size);
		size_t n = end ? (size_t)(end - text) : size;

		line++;
		r = take_line(doh, text, n, diag);
		if (r > 0)
			sn_diag_at(diag, file, line);
		if (r)
			return r;
		n += end ? 1 : 0;
		text += n;
		size -= n;
	}
	doh->n_names = sort(doh->names, doh->n_names, sizeof(*doh->names),
			    compare_names);
	doh->n_addresses = sort(doh->addresses, doh->n_addresses,
				sizeof(*doh->addresses), compare_cidrs);
	*ret = sn_steal(&doh);
	return 0;
}

static int fail_file(const char *path, int error, struct sn_diag *diag)
{
	sn_diag_set(diag, NULL, "cannot be read: %s", strerror(error));
	sn_diag_at(diag, path, 0);
	return -error;
}

/* Up to one byte more than there may be, so that the excess is seen. */
static int read_file(int fd, const char *path, char *buffer, size_t *ret,
		     struct sn_diag *diag)
{
	size_t size = 0;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return fail_file(path, errno, diag);
	if (!S_ISREG(st.st_mode)) {
		sn_diag_set(diag, NULL, "is not a regular file");
		sn_diag_at(diag, path, 0);
		return CP_DNS_DOH_E_REFUSED;
	}
	while (size <= CP_DNS_DOH_FILE_BYTES) {
		ssize_t n = read(fd, buffer + size,
				 CP_DNS_DOH_FILE_BYTES + 1 - size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail_file(path, errno, diag);
		if (n == 0)
			break;
		size += (size_t)n;
	}
	*ret = size;
	return 0;
}

int cp_dns_doh_load(const char *path, struct cp_dns_doh **ret,
		    struct sn_diag *diag)
{
	sn_cleanup(sn_freep) char *buffer = NULL;
	/* A FIFO must not block the opener. */
	sn_cleanup(sn_closep) int fd =
		open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	size_t size = 0;
	int r;

	if (fd < 0)
		return fail_file(path, errno, diag);
	buffer = malloc(CP_DNS_DOH_FILE_BYTES + 1);
	if (!buffer)
		return -ENOMEM;
	r = read_file(fd, path, buffer, &size, diag);
	if (r)
		return r;
	return cp_dns_doh_parse(buffer, size, path, ret, diag);
}

/* The listed name that is this one or an ancestor of it. */
static bool has_name(const struct cp_dns_doh *doh,
		     const struct cp_dns_name *name)
{
	struct cp_dns_name suffix;
	int at;

	/* The root, which is not listed, ends the walk. */
	for (unsigned int i = 0; (at = cp_dns_name_suffix(name, i)) >= 0; i++) {
		suffix.size = (uint8_t)(name->size - at);
		(void)memcpy(suffix.wire, name->wire + at, suffix.size);
		if (bsearch(&suffix, doh->names, doh->n_names,
			    sizeof(*doh->names), compare_names))
			return true;
	}
	return false;
}

bool cp_dns_doh_is_refused(const struct cp_dns_doh *doh,
			   const struct cp_dns_name *name,
			   const struct cp_dns_match *match)
{
	if (!doh || doh->n_names == 0 || !has_name(doh, name))
		return false;
	for (uint8_t i = 0;
	     match->verdict == SN_VERDICT_ALLOW && i < match->n_rules; i++) {
		if (cp_dns_name_is_equal(&match->rules[i]->name, name))
			return false;
	}
	return true;
}

bool cp_dns_doh_has_address(const struct cp_dns_doh *doh,
			    const struct cp_dns_address *address)
{
	struct cp_policy_cidr cidr;

	if (!doh || doh->n_addresses == 0)
		return false;
	cidr = cp_policy_cidr_around(
		(enum sn_family)address->family, address->bytes,
		address->family == SN_FAMILY_IPV4 ? 32 : 128);
	return bsearch(&cidr, doh->addresses, doh->n_addresses, sizeof(cidr),
		       compare_cidrs);
}

size_t cp_dns_doh_count_names(const struct cp_dns_doh *doh)
{
	return doh ? doh->n_names : 0;
}

const struct cp_policy_cidr *
cp_dns_doh_get_addresses(const struct cp_dns_doh *doh, size_t *n)
{
	*n = doh ? doh->n_addresses : 0;
	return doh ? doh->addresses : NULL;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rpc/secrets.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define refuse(diag, ...) \
	(sn_diag_set(diag, NULL, __VA_ARGS__), CP_RPC_SECRETS_E_REFUSED)

static int copy_path(const char *path, char **ret)
{
	if (!path)
		return 0;
	*ret = strdup(path);
	return *ret ? 0 : -ENOMEM;
}

int cp_rpc_secrets_copy_files(const struct cp_rpc_secrets_files *files,
			      struct cp_rpc_secrets_files *ret)
{
	int r;

	*ret = (struct cp_rpc_secrets_files){ 0 };
	r = copy_path(files->ca, &ret->ca);
	if (r == 0)
		r = copy_path(files->certificate, &ret->certificate);
	if (r == 0)
		r = copy_path(files->key, &ret->key);
	if (r == 0)
		r = copy_path(files->token, &ret->token);
	return r;
}

void cp_rpc_secrets_free_files(struct cp_rpc_secrets_files *files)
{
	free(files->ca);
	free(files->certificate);
	free(files->key);
	free(files->token);
	*files = (struct cp_rpc_secrets_files){ 0 };
}

static int refuse_file(const char *path, int error, struct sn_diag *diag)
{
	return refuse(diag, "cannot read %s: %s", path, strerror(error));
}

static void wipe(char **text)
{
	if (*text)
		explicit_bzero(*text, strlen(*text));
	free(*text);
	*text = NULL;
}

/* Up to max bytes from fd; -errno. */
static ssize_t read_all(int fd, char *buffer, size_t max)
{
	size_t n = 0;

	while (n < max) {
		ssize_t got = read(fd, buffer + n, max - n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		n += (size_t)got;
	}
	return (ssize_t)n;
}

static int read_file(const char *path, size_t max, char **ret,
		     struct sn_diag *diag)
{
	sn_cleanup(sn_closep) int fd = -1;
	sn_cleanup(wipe) char *text = NULL;
	struct stat info;
	ssize_t n;

	/* Non-blocking, or a FIFO would keep the worker. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &info) < 0)
		return refuse_file(path, errno, diag);
	if (!S_ISREG(info.st_mode))
		return refuse(diag, "%s is no regular file", path);
	if (info.st_size > (off_t)max)
		return refuse(diag, "%s has more than %zu bytes", path, max);
	text = calloc(1, (size_t)info.st_size + 1);
	if (!text)
		return sn_trace(-ENOMEM);
	n = read_all(fd, text, (size_t)info.st_size);
	if (n < 0)
		return refuse_file(path, (int)-n, diag);
	if (n == 0 || strlen(text) != (size_t)n)
		return refuse(diag, "%s is %s", path, n ? "no text" : "empty");
	*ret = sn_steal(&text);
	return 0;
}

/* It becomes a header, so it must not be able to begin another one. */
static int trim_token(char *token, const char *path, struct sn_diag *diag)
{
	static const char space[] = " \t\r\n";
	size_t n = strspn(token, space);

	(void)memmove(token, token + n, strlen(token + n) + 1);
	n = strlen(token);
	while (n > 0 && strchr(space, token[n - 1]))
		token[--n] = '\0';
	if (n == 0)
		return refuse(diag, "%s is empty", path);
	for (size_t i = 0; i < n; i++)
		if (token[i] <= ' ' || token[i] > '~')
			return refuse(diag,
				      "%s has characters that no token "
				      "has",
				      path);
	return 0;
}

int cp_rpc_secrets_load(const struct cp_rpc_secrets_files *files,
			struct cp_rpc_secrets *ret, struct sn_diag *diag)
{
	struct cp_rpc_secrets secrets = { 0 };
	int r = 0;

	if (files->ca)
		r = read_file(files->ca, CP_RPC_SECRETS_FILE_BYTES, &secrets.ca,
			      diag);
	if (r == 0 && files->certificate)
		r = read_file(files->certificate, CP_RPC_SECRETS_FILE_BYTES,
			      &secrets.certificate, diag);
	if (r == 0 && files->key)
		r = read_file(files->key, CP_RPC_SECRETS_FILE_BYTES,
			      &secrets.key, diag);
	if (r == 0 && files->token)
		r = read_file(files->token, CP_RPC_SECRETS_TOKEN_BYTES,
			      &secrets.token, diag);
	if (r == 0 && secrets.token)
		r = trim_token(secrets.token, files->token, diag);
	if (r == 0)
		*ret = secrets;
	else
		cp_rpc_secrets_done(&secrets);
	return r;
}

void cp_rpc_secrets_done(struct cp_rpc_secrets *secrets)
{
	wipe(&secrets->ca);
	wipe(&secrets->certificate);
	wipe(&secrets->key);
	wipe(&secrets->token);
}

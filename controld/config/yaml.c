/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/config/yaml.h"

#include <assert.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <yaml.h>

/* Nodes and texts live in two bump arenas, so that a million rules cost 24
 * bytes a node plus their text and are freed in a few calls. libyaml works
 * event by event and is stopped at the first one that breaks a rule; what it
 * would do before its first event in more than linear time (directives) is
 * refused before it runs. */

enum {
	FIRST_CHUNK_BYTES = 4096,
	LARGEST_CHUNK_BYTES = 1 << 20,
	SHOWN_BYTES = 64, /* of a key in a message */
};

#define NODE_LENGTH_MASK 0x1fffffffU

struct cp_config_yaml_node {
	struct cp_config_yaml_node *next;
	union {
		struct cp_config_yaml_node *first;
		const char *text;
	};
	uint32_t line;
	uint32_t length : 29; /* bytes, elements or keys */
	uint32_t type : 2;
	uint32_t plain : 1;
};

_Static_assert(sizeof(struct cp_config_yaml_node) <= 24, "node has grown");
_Static_assert(CP_CONFIG_YAML_MAX_BYTES < NODE_LENGTH_MASK / 2,
	       "a length must fit; escapes may grow a text by half");

struct chunk {
	struct chunk *next;
	size_t size;
	size_t used;
	char data[];
};

struct cp_config_yaml {
	struct chunk *nodes;
	struct chunk *texts;
	struct cp_config_yaml_node *root;
};

/* A collection that is not closed yet. */
struct frame {
	struct cp_config_yaml_node *node;
	struct cp_config_yaml_node *last;
	bool has_key; /* a mapping whose last child is a key */
};

struct load {
	struct cp_config_yaml *yaml;
	const char *file;
	struct sn_diag *diag;
	size_t max_nodes;
	size_t n_nodes;
	size_t n_documents;
	struct frame frames[CP_CONFIG_YAML_MAX_DEPTH];
	size_t depth;
};

static void free_chunks(struct chunk *chunk)
{
	while (chunk) {
		struct chunk *next = chunk->next;

		free(chunk);
		chunk = next;
	}
}

/* Takes size bytes from the arena; size is a multiple of the arena's
 * alignment, which is that of malloc for the first piece. */
static void *take_bytes(struct chunk **arena, size_t size)
{
	struct chunk *chunk = *arena;
	void *piece;

	if (!chunk || chunk->size - chunk->used < size) {
		size_t room = chunk ? SN_MIN(chunk->size * 2,
					     (size_t)LARGEST_CHUNK_BYTES) :
				      (size_t)FIRST_CHUNK_BYTES;

		room = SN_MAX(room, size);
		chunk = malloc(sizeof(*chunk) + room);
		if (!chunk)
			return NULL;
		chunk->next = *arena;
		chunk->size = room;
		chunk->used = 0;
		*arena = chunk;
	}
	piece = chunk->data + chunk->used;
	chunk->used += size;
	return piece;
}

static int refuse(struct load *load, size_t line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int refuse(struct load *load, size_t line, const char *format, ...)
{
	char text[SN_DIAG_TEXT_BYTES];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	sn_diag_set(load->diag, NULL, "%s", text);
	sn_diag_at(load->diag, load->file, (unsigned int)line);
	return CP_CONFIG_YAML_E_REFUSED;
}

/* Copies text for a message: bytes that a terminal would act on become '?'. */
static const char *show(const char *text, char buffer[SHOWN_BYTES])
{
	size_t i;

	for (i = 0; text[i] && i < SHOWN_BYTES - 1; i++)
		buffer[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
	buffer[i] = '\0';
	return buffer;
}

static int new_node(struct load *load, enum cp_config_yaml_type type,
		    const yaml_event_t *event, struct cp_config_yaml_node **ret)
{
	struct cp_config_yaml_node *node;
	size_t line = event->start_mark.line + 1;

	if (load->n_nodes >= load->max_nodes)
		return refuse(load, line,
			      "more than %zu values, keys and collections",
			      load->max_nodes);
	node = take_bytes(&load->yaml->nodes, sizeof(*node));
	if (!node)
		return -ENOMEM;

	load->n_nodes++;
	*node = (struct cp_config_yaml_node){
		.line = (uint32_t)line,
		.type = type & 3U,
	};
	*ret = node;
	return 0;
}

static int check_key(struct load *load, const struct frame *frame,
		     const struct cp_config_yaml_node *key)
{
	const struct cp_config_yaml_node *old = frame->node->first;
	char shown[SHOWN_BYTES];

	if (key->type != CP_CONFIG_YAML_TYPE_SCALAR)
		return refuse(load, key->line,
			      "a key must be text, not a list or a mapping");
	if (cp_config_yaml_is_null(key))
		return refuse(load, key->line, "a key is missing before ':'");
	if (frame->node->length >= CP_CONFIG_YAML_MAX_KEYS)
		return refuse(load, key->line,
			      "more than %d keys in one mapping",
			      CP_CONFIG_YAML_MAX_KEYS);
	for (; old; old = old->next->next) {
		if (old->length == key->length &&
		    memcmp(old->text, key->text, key->length) == 0)
			return refuse(load, key->line,
				      "key '%s' is given twice, first in line "
				      "%u",
				      show(key->text, shown), old->line);
	}
	return 0;
}

/* Hangs a new node into the innermost open collection. */
static int add_node(struct load *load, struct cp_config_yaml_node *node)
{
	struct frame *frame;
	int r;

	if (load->depth == 0) {
		load->yaml->root = node;
		return 0;
	}
	frame = &load->frames[load->depth - 1];
	if (frame->node->type == CP_CONFIG_YAML_TYPE_MAPPING) {
		if (!frame->has_key) {
			r = check_key(load, frame, node);
			if (r)
				return r;
		}
		frame->has_key = !frame->has_key;
	}
	if (frame->last)
		frame->last->next = node;
	else
		frame->node->first = node;
	frame->last = node;
	if (!frame->has_key)
		frame->node->length = (frame->node->length + 1) &
				      NODE_LENGTH_MASK;
	return 0;
}

static int refuse_properties(struct load *load, const yaml_event_t *event,
			     const yaml_char_t *anchor, const yaml_char_t *tag)
{
	size_t line = event->start_mark.line + 1;
	char shown[SHOWN_BYTES];

	if (anchor)
		return refuse(load, line, "anchors ('&%s') are not supported",
			      show((const char *)anchor, shown));
	if (tag)
		return refuse(load, line, "tags ('%s') are not supported",
			      show((const char *)tag, shown));
	return 0;
}

static int add_scalar(struct load *load, const yaml_event_t *event)
{
	const char *value = (const char *)event->data.scalar.value;
	size_t length = event->data.scalar.length;
	struct cp_config_yaml_node *node;
	char *text;
	int r;

	r = refuse_properties(load, event, event->data.scalar.anchor,
			      event->data.scalar.tag);
	if (r)
		return r;
	if (memchr(value, '\0', length))
		return refuse(load, event->start_mark.line + 1,
			      "a text must not contain a NUL byte");
	r = new_node(load, CP_CONFIG_YAML_TYPE_SCALAR, event, &node);
	if (r)
		return r;

	text = take_bytes(&load->yaml->texts, length + 1);
	if (!text)
		return -ENOMEM;

	(void)memcpy(text, value, length);
	text[length] = '\0';
	node->text = text;
	node->length = length & NODE_LENGTH_MASK;
	node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	return add_node(load, node);
}

static int open_collection(struct load *load, const yaml_event_t *event,
			   enum cp_config_yaml_type type,
			   const yaml_char_t *anchor, const yaml_char_t *tag)
{
	struct cp_config_yaml_node *node;
	int r;

	r = refuse_properties(load, event, anchor, tag);
	if (r)
		return r;
	if (load->depth >= CP_CONFIG_YAML_MAX_DEPTH)
		return refuse(load, event->start_mark.line + 1,
			      "nested deeper than %d levels",
			      CP_CONFIG_YAML_MAX_DEPTH);
	r = new_node(load, type, event, &node);
	if (r)
		return r;
	r = add_node(load, node);
	if (r)
		return r;
	load->frames[load->depth++] = (struct frame){ .node = node };
	return 0;
}

static int take_event(struct load *load, const yaml_event_t *event)
{
	size_t line = event->start_mark.line + 1;
	char shown[SHOWN_BYTES];

	switch (event->type) {
	case YAML_NO_EVENT:
	case YAML_STREAM_START_EVENT:
	case YAML_STREAM_END_EVENT:
	case YAML_DOCUMENT_END_EVENT:
		return 0;
	case YAML_DOCUMENT_START_EVENT:
		if (load->n_documents++ > 0)
			return refuse(load, line,
				      "a second document begins here, only "
				      "one is supported");
		return 0;
	case YAML_ALIAS_EVENT:
		return refuse(load, line, "aliases ('*%s') are not supported",
			      show((const char *)event->data.alias.anchor,
				   shown));
	case YAML_SCALAR_EVENT:
		return add_scalar(load, event);
	case YAML_SEQUENCE_START_EVENT:
		return open_collection(load, event,
				       CP_CONFIG_YAML_TYPE_SEQUENCE,
				       event->data.sequence_start.anchor,
				       event->data.sequence_start.tag);
	case YAML_MAPPING_START_EVENT:
		return open_collection(load, event, CP_CONFIG_YAML_TYPE_MAPPING,
				       event->data.mapping_start.anchor,
				       event->data.mapping_start.tag);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		assert(load->depth > 0);
		load->depth--;
		return 0;
	}
	return -EPROTO;
}

/* libyaml gives a byte offset where a byte is no character at all, else a
 * mark. */
static int refuse_syntax(struct load *load, const yaml_parser_t *parser,
			 const char *text, size_t size)
{
	const char *problem = parser->problem ? parser->problem : "not YAML";
	size_t line = 1;

	if (parser->error == YAML_MEMORY_ERROR)
		return -ENOMEM;
	if (parser->error == YAML_READER_ERROR) {
		size_t end = SN_MIN(parser->problem_offset, size);

		for (size_t i = 0; i < end; i++)
			line += text[i] == '\n';
		return refuse(load, line, "%s", problem);
	}
	line = parser->problem_mark.line + 1;
	if (parser->context)
		return refuse(load, line, "%s %s that begins in line %zu",
			      problem, parser->context,
			      parser->context_mark.line + 1);
	return refuse(load, line, "%s", problem);
}

/* The line of the first directive, 0 if there is none. libyaml compares each
 * %TAG directive with all before it, and reads all before its first event. */
static size_t find_directive(const char *text, size_t size)
{
	const unsigned char *begin = (const unsigned char *)text;
	const unsigned char *end = begin + size, *p = begin;
	size_t line = 1;
	bool found = false;

	while (!found) {
		size_t n;

		p = memchr(p, '%', (size_t)(end - p));
		if (!p)
			return 0;
		/* After any of the line breaks of YAML 1.1. */
		n = (size_t)(p - begin);
		found = n == 0 || p[-1] == '\n' || p[-1] == '\r' ||
			(n >= 2 && p[-2] == 0xc2 && p[-1] == 0x85) ||
			(n >= 3 && p[-3] == 0xe2 && p[-2] == 0x80 &&
			 (p[-1] == 0xa8 || p[-1] == 0xa9));
		p++;
	}
	for (const unsigned char *q = begin; q < p; q++)
		line += *q == '\n';
	return line;
}

static int run_parser(struct load *load, yaml_parser_t *parser,
		      const char *text, size_t size)
{
	bool done = false;

	while (!done) {
		yaml_event_t event;
		int r;

		if (!yaml_parser_parse(parser, &event))
			return refuse_syntax(load, parser, text, size);
		done = event.type == YAML_STREAM_END_EVENT;
		r = take_event(load, &event);
		yaml_event_delete(&event);
		if (r)
			return r;
	}
	return 0;
}

static int parse_events(struct load *load, const char *text, size_t size)
{
	yaml_parser_t parser;
	int r;

	if (!yaml_parser_initialize(&parser))
		return -ENOMEM;
	/* Said and not guessed, so that no text is read as UTF-16. */
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parser, (const unsigned char *)text,
				     size);
	r = run_parser(load, &parser, text, size);
	yaml_parser_delete(&parser);
	return r;
}

static size_t clamp(size_t wanted, size_t most)
{
	return wanted == 0 || wanted > most ? most : wanted;
}

int cp_config_yaml_parse(const char *text, size_t size, const char *file,
			 const struct cp_config_yaml_limits *limits,
			 struct cp_config_yaml **ret, struct sn_diag *diag)
{
	sn_cleanup(cp_config_yaml_freep) struct cp_config_yaml *yaml = NULL;
	size_t max_bytes = clamp(limits->max_bytes, CP_CONFIG_YAML_MAX_BYTES);
	struct load load = {
		.file = file,
		.diag = diag,
		.max_nodes = clamp(limits->max_nodes, CP_CONFIG_YAML_MAX_NODES),
	};
	size_t line;
	int r;

	if (size > max_bytes)
		return refuse(&load, 0, "larger than %zu bytes", max_bytes);
	line = find_directive(text, size);
	if (line)
		return refuse(&load, line,
			      "a line must not begin with '%%': directives "
			      "are not supported");
	yaml = calloc(1, sizeof(*yaml));
	if (!yaml)
		return -ENOMEM;

	load.yaml = yaml;
	r = parse_events(&load, text, size);
	if (r == CP_CONFIG_YAML_E_REFUSED)
		return r;
	if (r < 0)
		return sn_trace(r);
	*ret = sn_steal(&yaml);
	return 0;
}

/* Tells the operator which file the machine failed on. */
static int fail_file(const char *path, const char *what, int error,
		     struct sn_diag *diag)
{
	sn_diag_set(diag, NULL, "cannot %s: %s", what, strerror(error));
	sn_diag_at(diag, path, 0);
	return sn_trace(-error);
}

/* Reads at most max_bytes + 1 bytes, so that the parser sees the excess even
 * if the file grows meanwhile. */
static int read_file(int fd, const char *path, size_t max_bytes, char **ret,
		     size_t *ret_size, struct sn_diag *diag)
{
	sn_cleanup(sn_freep) char *buffer = NULL;
	struct stat st;
	size_t room, size = 0;

	if (fstat(fd, &st) < 0)
		return fail_file(path, "read", errno, diag);
	if (!S_ISREG(st.st_mode)) {
		sn_diag_set(diag, NULL, "not a regular file");
		sn_diag_at(diag, path, 0);
		return CP_CONFIG_YAML_E_REFUSED;
	}
	/* One more than the file has, so that its end is seen. */
	room = SN_MIN((size_t)st.st_size, max_bytes) + 1;
	buffer = malloc(room);
	if (!buffer)
		return -ENOMEM;

	while (size < room) {
		ssize_t n = read(fd, buffer + size, room - size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail_file(path, "read", errno, diag);
		if (n == 0)
			break;
		size += (size_t)n;
	}
	if (size == room && size <= max_bytes) {
		sn_diag_set(diag, NULL, "has grown while it was read");
		sn_diag_at(diag, path, 0);
		return CP_CONFIG_YAML_E_REFUSED;
	}
	*ret = sn_steal(&buffer);
	*ret_size = size;
	return 0;
}

int cp_config_yaml_load(const char *path,
			const struct cp_config_yaml_limits *limits,
			struct cp_config_yaml **ret, struct sn_diag *diag)
{
	size_t max_bytes = clamp(limits->max_bytes, CP_CONFIG_YAML_MAX_BYTES);
	sn_cleanup(sn_freep) char *text = NULL;
	sn_cleanup(sn_closep) int fd = -1;
	size_t size = 0;
	int r;

	/* Nonblocking, so that a FIFO is refused and not waited for. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return fail_file(path, "open", errno, diag);
	r = read_file(fd, path, max_bytes, &text, &size, diag);
	if (r)
		return r;
	return cp_config_yaml_parse(text, size, path, limits, ret, diag);
}

struct cp_config_yaml *cp_config_yaml_free(struct cp_config_yaml *yaml)
{
	if (!yaml)
		return NULL;
	free_chunks(yaml->nodes);
	free_chunks(yaml->texts);
	free(yaml);
	return NULL;
}

const struct cp_config_yaml_node *
cp_config_yaml_get_root(const struct cp_config_yaml *yaml)
{
	if (!yaml->root || cp_config_yaml_is_null(yaml->root))
		return NULL;
	return yaml->root;
}

enum cp_config_yaml_type
cp_config_yaml_get_type(const struct cp_config_yaml_node *node)
{
	return (enum cp_config_yaml_type)node->type;
}

unsigned int cp_config_yaml_get_line(const struct cp_config_yaml_node *node)
{
	return node->line;
}

const char *cp_config_yaml_get_text(const struct cp_config_yaml_node *node)
{
	assert(node->type == CP_CONFIG_YAML_TYPE_SCALAR);
	return node->text;
}

size_t cp_config_yaml_get_count(const struct cp_config_yaml_node *node)
{
	return node->length;
}

const struct cp_config_yaml_node *
cp_config_yaml_get_first(const struct cp_config_yaml_node *node)
{
	assert(node->type != CP_CONFIG_YAML_TYPE_SCALAR);
	return node->first;
}

const struct cp_config_yaml_node *
cp_config_yaml_get_next(const struct cp_config_yaml_node *node)
{
	return node->next;
}

bool cp_config_yaml_is_plain(const struct cp_config_yaml_node *node)
{
	return node->type == CP_CONFIG_YAML_TYPE_SCALAR && node->plain;
}

bool cp_config_yaml_is_null(const struct cp_config_yaml_node *node)
{
	static const char *const nulls[] = { "", "~", "null", "Null", "NULL" };

	if (!cp_config_yaml_is_plain(node) || node->length > 4)
		return false;
	for (size_t i = 0; i < SN_ARRAY_SIZE(nulls); i++)
		if (strcmp(node->text, nulls[i]) == 0)
			return true;
	return false;
}

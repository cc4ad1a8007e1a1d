// SPDX-License-Identifier: Apache-2.0
#include "controld/ctl/top/screen.h"

#include <ctype.h>
#include <grpc/status.h>
#include <locale.h>
#include <ncurses.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "controld/ctl/table.h"
#include "controld/ctl/top/lines.h"

enum {
	FILTER_BYTES = 64,
	HEAD_LINES = 3,
	KEY_ESCAPE = 27,
	PAIR_HEAD = 1,
	PAIR_BLOCKED,
	PAIR_ERROR,
};

struct screen {
	struct cp_ctl_top_source *source;
	struct cp_ctl_top_model *model;
	struct cp_rpc_status status; /* of the last sample */
	bool is_stale; /* it failed */
	bool is_paused;
	bool is_typing; /* the filter */
	enum cp_ctl_top_sort sort;
	char filter[FILTER_BYTES];
	size_t first; /* row on the screen */
	uint64_t interval_ms;
	uint64_t next_ms; /* when to sample */
};

bool cp_ctl_top_screen_is_possible(void)
{
	const char *terminal = getenv("TERM");

	return isatty(STDOUT_FILENO) && isatty(STDIN_FILENO) && terminal &&
	       *terminal && strcmp(terminal, "dumb") != 0;
}

static uint64_t now_ms(void)
{
	struct timespec time;

	(void)clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

static void put_line(int y, const char *text)
{
	(void)move(y, 0);
	(void)clrtoeol();
	/* The last cell of the last line would scroll the screen. */
	(void)addnstr(text, -1);
}

static void draw_state(const struct screen *own)
{
	char line[CP_CTL_TOP_LINES_BYTES];

	if (own->is_typing)
		(void)snprintf(line, sizeof(line), "filter: %s_", own->filter);
	else if (own->is_stale)
		(void)snprintf(line, sizeof(line), "NOT CURRENT: %s%s",
			       own->status.code == GRPC_STATUS_UNAVAILABLE ?
				       "is sentinel-cp running? " :
				       "",
			       own->status.text);
	else
		(void)snprintf(line, sizeof(line), "%sby %s%s%s  %s",
			       own->is_paused ? "PAUSED  " : "",
			       cp_ctl_top_model_sort_name(own->sort),
			       own->filter[0] ? "  filter " : "", own->filter,
			       "q quit  p pause  s sort  / filter");
	(void)cp_ctl_table_clean(line);
	line[SN_MIN(strlen(line), (size_t)SN_MAX(COLS - 1, 0))] = '\0';
	(void)attron(own->is_stale ? COLOR_PAIR(PAIR_ERROR) | A_BOLD : A_DIM);
	put_line(1, line);
	(void)attrset(A_NORMAL);
}

static void draw(struct screen *own)
{
	const struct cp_ctl_top_row *const *rows;
	char line[CP_CTL_TOP_LINES_BYTES];
	size_t width = (size_t)SN_MAX(COLS, 1);
	size_t n = cp_ctl_top_model_select(own->model, own->sort, own->filter,
					   &rows);
	size_t room = LINES > HEAD_LINES ? (size_t)(LINES - HEAD_LINES) : 0;

	own->first = SN_MIN(own->first, n > room ? n - room : 0);
	(void)erase();
	cp_ctl_top_lines_sum(own->model, width, line);
	(void)attron(A_BOLD);
	put_line(0, line);
	(void)attrset(A_NORMAL);
	draw_state(own);
	cp_ctl_top_lines_head(width, line);
	(void)attron(COLOR_PAIR(PAIR_HEAD) | A_REVERSE);
	put_line(2, line);
	(void)mvchgat(2, 0, -1, A_REVERSE, PAIR_HEAD, NULL);
	(void)attrset(A_NORMAL);
	for (size_t i = 0; i < room && own->first + i < n; i++) {
		const struct cp_ctl_top_row *row = rows[own->first + i];
		bool is_hot = row->rates[CP_CTL_TOP_RATE_BLOCKED] > 0 ||
			      row->rates[CP_CTL_TOP_RATE_DNS_BLOCKED] > 0;

		cp_ctl_top_lines_row(row, width, line);
		if (is_hot)
			(void)attron(COLOR_PAIR(PAIR_BLOCKED));
		put_line(HEAD_LINES + (int)i, line);
		(void)attrset(A_NORMAL);
	}
	(void)refresh();
}

static void type(struct screen *own, int key)
{
	size_t n = strlen(own->filter);

	if (key == '\n' || key == KEY_ENTER) {
		own->is_typing = false;
	} else if (key == KEY_ESCAPE) {
		own->is_typing = false;
		own->filter[0] = '\0';
	} else if (key == KEY_BACKSPACE || key == 127 || key == 8) {
		if (n)
			own->filter[n - 1] = '\0';
	} else if (key < 256 && isprint(key) && n + 1 < FILTER_BYTES) {
		own->filter[n] = (char)key;
		own->filter[n + 1] = '\0';
	}
}

static void scroll_by(struct screen *own, int rows)
{
	if (rows < 0 && own->first < (size_t)-rows)
		own->first = 0;
	else
		own->first = (size_t)((long)own->first + rows);
}

/* False: the operator quits. */
static bool press(struct screen *own, int key)
{
	if (own->is_typing) {
		type(own, key);
		return true;
	}
	switch (key) {
	case 'q':
		return false;
	case 'p':
	case ' ':
		own->is_paused = !own->is_paused;
		own->next_ms = 0;
		break;
	case 's':
		own->sort = (enum cp_ctl_top_sort)((own->sort + 1) %
						   CP_CTL_TOP_SORT_COUNT);
		break;
	case '/':
		own->is_typing = true;
		own->filter[0] = '\0';
		break;
	case KEY_UP:
		scroll_by(own, -1);
		break;
	case KEY_DOWN:
		scroll_by(own, 1);
		break;
	case KEY_PPAGE:
		scroll_by(own, -(LINES - HEAD_LINES));
		break;
	case KEY_NPAGE:
		scroll_by(own, LINES - HEAD_LINES);
		break;
	default:
		break;
	}
	return true;
}

static void sample(struct screen *own)
{
	own->is_stale = !cp_ctl_top_source_sample(own->source, own->model,
						  &own->status);
	own->next_ms = now_ms() + own->interval_ms;
}

static void set_up(void)
{
	const char *none = getenv("NO_COLOR");

	(void)cbreak();
	(void)noecho();
	(void)keypad(stdscr, TRUE);
	(void)curs_set(0);
	if ((none && *none) || !has_colors())
		return;
	(void)start_color();
	(void)use_default_colors();
	(void)init_pair(PAIR_HEAD, -1, -1);
	(void)init_pair(PAIR_BLOCKED, COLOR_RED, -1);
	(void)init_pair(PAIR_ERROR, COLOR_YELLOW, -1);
}

enum cp_ctl_exit cp_ctl_top_screen_run(struct cp_ctl_top_source *source,
				       struct cp_ctl_top_model *model,
				       enum cp_ctl_top_sort sort,
				       uint64_t interval_ms)
{
	struct screen own = { .source = source,
			      .model = model,
			      .sort = sort,
			      .interval_ms = interval_ms };
	bool goes_on = true;
	SCREEN *terminal;

	(void)setlocale(LC_CTYPE, "");
	terminal = newterm(NULL, stdout, stdin);
	if (!terminal)
		return cp_ctl_session_fail(source->session, CP_CTL_EXIT_FAILED,
					   "this terminal cannot be used; try "
					   "TERM=dumb");
	/* Between reading the size and listening for changes of it ncurses can
	 * miss one; this makes it read the size again. */
	(void)raise(SIGWINCH);
	set_up();
	while (goes_on) {
		uint64_t now = now_ms();
		int key;

		if (!own.is_paused && now >= own.next_ms)
			sample(&own);
		draw(&own);
		now = now_ms();
		timeout(own.is_paused	  ? (int)own.interval_ms :
			own.next_ms > now ? (int)(own.next_ms - now) :
					    1);
		key = getch();
		if (key != ERR)
			goes_on = press(&own, key);
	}
	(void)endwin();
	delscreen(terminal);
	return CP_CTL_EXIT_OK;
}

// SPDX-License-Identifier: Apache-2.0
#include "controld/runtime/mounts.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "test/unit/t.h"

static const char table[] =
	"21 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw\n"
	"22 21 0:20 / /proc rw shared:2 - proc proc rw\n"
	"23 21 254:2 / /srv rw shared:3 - xfs /dev/vdb rw\n"
	"24 21 254:2 /data/web /var/www rw shared:4 - xfs /dev/vdb rw\n"
	"25 21 0:30 / /tmp rw shared:5 - tmpfs tmpfs rw\n"
	"26 21 0:31 / /mnt/with\\040space\\134 rw - tmpfs tmpfs rw\n"
	"27 21 0:32 /gone//deleted /mnt/gone rw - tmpfs tmpfs rw\n"
	"28 21 254:3 /only/this /opt/part rw - ext4 /dev/vdc rw\n"
	"29 21 0:33 / /mnt/twice rw - tmpfs tmpfs rw\n"
	"30 29 0:34 / /mnt/twice rw - tmpfs tmpfs rw\n"
	"31 21 254:1 /tmp/old /mnt/old rw - ext4 /dev/vda1 rw\n";

static struct cp_runtime_mounts *load(const char *text, size_t size)
{
	char path[] = "/tmp/sentinel-mounts-XXXXXX";
	struct cp_runtime_mounts *mounts = NULL;
	int fd = mkstemp(path);

	t_true(fd >= 0);
	t_eq(write(fd, text, size), size);
	(void)close(fd);
	t_eq(cp_runtime_mounts_new(&mounts), 0);
	t_eq(cp_runtime_mounts_load(mounts, path), 0);
	(void)unlink(path);
	return mounts;
}

static void shows(const struct cp_runtime_mounts *mounts, uint32_t major,
		  uint32_t minor, const char *fs_path, const char *wanted)
{
	char path[256];

	t_eq(cp_runtime_mounts_find(mounts, major, minor, fs_path,
				    strlen(fs_path), path, sizeof(path)),
	     0);
	t_str_eq(path, wanted);
}

static void shows_nothing(const struct cp_runtime_mounts *mounts,
			  uint32_t major, uint32_t minor, const char *fs_path)
{
	char path[256];

	t_eq(cp_runtime_mounts_find(mounts, major, minor, fs_path,
				    strlen(fs_path), path, sizeof(path)),
	     CP_RUNTIME_MOUNTS_E_NOWHERE);
}

static void paths_go_through_the_mount_of_their_device(void)
{
	sn_cleanup(cp_runtime_mounts_freep) struct cp_runtime_mounts *mounts =
		load(table, sizeof(table) - 1);

	shows(mounts, 254, 1, "/etc/hosts", "/etc/hosts");
	shows(mounts, 254, 1, "/", "/");
	shows(mounts, 254, 2, "/", "/srv");
	shows(mounts, 254, 2, "/log/a", "/srv/log/a");
	shows(mounts, 0, 31, "/f", "/mnt/with space\\/f");
	shows_nothing(mounts, 254, 9, "/etc/hosts");
}

static void whole_file_system_is_taken_before_a_part_of_it(void)
{
	sn_cleanup(cp_runtime_mounts_freep) struct cp_runtime_mounts *mounts =
		load(table, sizeof(table) - 1);

	shows(mounts, 254, 2, "/data/web/index.html",
	      "/srv/data/web/index.html");
}

static void part_of_a_file_system_shows_what_is_below_it_only(void)
{
	sn_cleanup(cp_runtime_mounts_freep) struct cp_runtime_mounts *mounts =
		load(table, sizeof(table) - 1);

	shows(mounts, 254, 3, "/only/this", "/opt/part");
	shows(mounts, 254, 3, "/only/this/f", "/opt/part/f");
	shows_nothing(mounts, 254, 3, "/only/thisthing");
	shows_nothing(mounts, 254, 3, "/only");
	shows_nothing(mounts, 254, 3, "/");
}

static void what_another_mount_hides_is_not_shown(void)
{
	sn_cleanup(cp_runtime_mounts_freep) struct cp_runtime_mounts *mounts =
		load(table, sizeof(table) - 1);

	/* Under /tmp, where a tmpfs is now; but /mnt/old shows that folder. */
	shows_nothing(mounts, 254, 1, "/tmp/f");
	shows(mounts, 254, 1, "/tmp/old/f", "/mnt/old/f");
	shows(mounts, 254, 1, "/tmpfile", "/tmpfile");
	shows_nothing(mounts, 0, 33, "/f");
	shows(mounts, 0, 34, "/f", "/mnt/twice/f");
}

static void removed_folder_is_nowhere(void)
{
	sn_cleanup(cp_runtime_mounts_freep) struct cp_runtime_mounts *mounts =
		load(table, sizeof(table) - 1);

	shows_nothing(mounts, 0, 32, "/gone/f");
}

static void path_that_does_not_fit_is_refused_whole(void)
{
	sn_cleanup(cp_runtime_mounts_freep) struct cp_runtime_mounts *mounts =
		load(table, sizeof(table) - 1);
	char path[sizeof("/srv/abc")];

	t_eq(cp_runtime_mounts_find(mounts, 254, 2, "/abcd", 5, path,
				    sizeof(path)),
	     CP_RUNTIME_MOUNTS_E_LONG);
	t_eq(cp_runtime_mounts_find(mounts, 254, 2, "/ab", 3, path,
				    sizeof(path)),
	     0);
	t_str_eq(path, "/srv/ab");
}

static void what_was_known_stays_when_nothing_can_be_read(void)
{
	sn_cleanup(cp_runtime_mounts_freep) struct cp_runtime_mounts *mounts =
		load(table, sizeof(table) - 1);

	t_eq(cp_runtime_mounts_load(mounts, "/nonexistent/mountinfo"), -ENOENT);
	shows(mounts, 254, 1, "/etc/hosts", "/etc/hosts");
}

static void own_mounts_are_read_from_the_kernel(void)
{
	sn_cleanup(cp_runtime_mounts_freep) struct cp_runtime_mounts *mounts =
		NULL;
	struct stat root;

	t_eq(cp_runtime_mounts_new(&mounts), 0);
	t_eq(cp_runtime_mounts_load(mounts, "/proc/self/mountinfo"), 0);
	t_eq(stat("/proc", &root), 0);
	shows(mounts, major(root.st_dev), minor(root.st_dev), "/1", "/proc/1");
}

static void empty_table_finds_nothing(void)
{
	sn_cleanup(cp_runtime_mounts_freep) struct cp_runtime_mounts *mounts =
		NULL;

	t_eq(cp_runtime_mounts_new(&mounts), 0);
	shows_nothing(mounts, 254, 1, "/etc/hosts");
}

T_MAIN("runtime_mounts", paths_go_through_the_mount_of_their_device,
       whole_file_system_is_taken_before_a_part_of_it,
       part_of_a_file_system_shows_what_is_below_it_only,
       what_another_mount_hides_is_not_shown, removed_folder_is_nowhere,
       path_that_does_not_fit_is_refused_whole,
       what_was_known_stays_when_nothing_can_be_read,
       own_mounts_are_read_from_the_kernel, empty_table_finds_nothing)

/* SPDX-License-Identifier: Apache-2.0
 * Inside storage/: what a client's Hadoop configuration says of HDFS: core-site.xml and hdfs-site.xml in HADOOP_CONF_DIR, else in
 * HADOOP_HOME/etc/hadoop, else in /etc/hadoop/conf. Values may refer to others (${name}) and to the environment (${env.NAME}). */
#ifndef GHEE_STORAGE_HDFS_CONF_H
#define GHEE_STORAGE_HDFS_CONF_H

#include "storage/settings.h"

/** Its properties by name. Files that are not there say nothing. GHEE_CORRUPT: no XML. `out` zero-initialised; gives: ghee_settings_fini. */
ghee_status ghee_hdfs_conf_read(ghee_settings *out, ghee_error *err);
/** The HTTP servers of the NameNodes (their HTTPS servers with `tls`) that the authority of a URI stands for, as "HOST:PORT,HOST:PORT": of ""
 *  those of fs.defaultFS, of a nameservice all of its NameNodes, of the RPC address of a NameNode its own. NULL: the configuration does
 *  not know it. GHEE_INVALID: "" without a file system of HDFS as fs.defaultFS. out gives: ghee_free. */
ghee_status ghee_hdfs_conf_namenodes(const ghee_settings *conf, const char *authority, bool tls, char **out, ghee_error *err);
/** Only https is served there. */
bool ghee_hdfs_conf_tls(const ghee_settings *conf);
/** Users are known by Kerberos there. */
bool ghee_hdfs_conf_kerberos(const ghee_settings *conf);

#endif

# SPDX-License-Identifier: Apache-2.0
"""The storages that jobs of the tests read and write, behind one face: `with STORAGES["s3"]() as at: …`. Tests look into them with clients
that are not ghee's own.

  at.env               what the environment of a job needs
  at.format            of inputs and outputs, where their names do not say it
  at.uri(name)         the URI of a place
  at.put(folder, name) copies a local folder there         at.get(name, folder)   and back
  at.names(name)       everything below, hidden names too  at.left(name)          what is beside: staging folders, claims, unfinished uploads"""
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import xml.etree.ElementTree as xml
from urllib.parse import quote, urlencode
from urllib.request import Request, urlopen

SERVICES = pathlib.Path(__file__).resolve().parent / "services"


def chunks_of(manifest, job):
    """The numbers of the chunks of a job in a manifest, each as often as it is there, in order."""
    ranges = [r.partition("-") for c in manifest["commits"] if c["job"] == job for r in c["chunks"].split(",") if r]
    return sorted(chunk for first, dash, last in ranges for chunk in range(int(first), int(last if dash else first) + 1))


def shared_memory():
    """Names in /dev/shm that a job may have left; folders are data of servers, also those of others."""
    return {entry.name for entry in os.scandir("/dev/shm") if not entry.is_dir(follow_symlinks=False)}


class CannotInstall(Exception):
    """The server cannot be had on this machine."""


@contextlib.contextmanager
def or_skip(server):
    """`with or_skip(S3()) as at: …` in a test or fixture: skipped, with the reason, where the server cannot be had."""
    import pytest

    with contextlib.ExitStack() as stack:
        try:
            at = stack.enter_context(server)
        except CannotInstall as e:
            pytest.skip(str(e))
        yield at


class File:
    env, format = {}, None

    def __enter__(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="ghee-files-"))
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.root)

    def uri(self, name):
        return f"file:{self.root / name}"

    def put(self, folder, name):
        shutil.copytree(folder, self.root / name, dirs_exist_ok=True)

    def get(self, name, folder):
        shutil.copytree(self.root / name, folder, dirs_exist_ok=True)

    def names(self, name):
        top = self.root / name
        return sorted(str(p.relative_to(top)) for p in top.rglob("*") if p.is_file())

    def left(self, name):
        place = self.root / name
        return sorted(p.name for p in place.parent.iterdir() if p != place)


class S3:
    """A server of its own, with an empty bucket. `env` is that of its clients."""

    format = None

    def __init__(self, parallel=False, cert=None, on=None):
        """parallel: many requests at a time, for what has no commits. cert: (certificate, key), for https. on: the folder that its data lies in."""
        self.folder = tempfile.mkdtemp(prefix="ghee-s3-", dir=on)
        self.run_env = {**os.environ, "S3_RUN": self.folder, **({"S3_PARALLEL": "1"} if parallel else {}),
                        **({"S3_CERT": str(cert[0]), "S3_KEY": str(cert[1])} if cert else {})}

    def up(self):
        done = subprocess.run([str(SERVICES / "s3" / "up")], env=self.run_env, capture_output=True, text=True)
        if done.returncode == 77:
            raise CannotInstall(done.stderr.strip())
        assert done.returncode == 0, done.stderr
        self.env = dict(line.split("=", 1) for line in done.stdout.splitlines())

    def kill(self):
        """At once, as a power cut; `up` brings it back with its data, on the same port."""
        subprocess.run([str(SERVICES / "s3" / "down"), "-k"], env=self.run_env, check=True)

    def signal(self, number):
        os.kill(int(pathlib.Path(self.folder, "server.pid").read_text()), number)

    def admin(self, *arguments):
        """The server's own administration: users."""
        subprocess.run([str(SERVICES / "s3" / "admin"), *arguments], env=self.run_env, check=True, capture_output=True)

    def __enter__(self):
        try:
            self.up()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        subprocess.run([str(SERVICES / "s3" / "down")], env=self.run_env, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def curl(self, path, *more):
        """One signed request."""
        user = f"{self.env['AWS_ACCESS_KEY_ID']}:{self.env['AWS_SECRET_ACCESS_KEY']}"
        return subprocess.run(["curl", "-sS", "--fail-with-body", "--user", user, "--aws-sigv4", f"aws:amz:{self.env['AWS_REGION']}:s3",
                               "-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD", "-H", "Expect:", *more, self.env["AWS_ENDPOINT_URL"] + path],
                              capture_output=True, text=True, check=True).stdout

    def uri(self, name):
        return f"s3://test/{name}"

    def put(self, folder, name):
        for path in sorted(p for p in pathlib.Path(folder).rglob("*") if p.is_file()):
            self.curl("/test/" + quote(f"{name}/{path.relative_to(folder)}"), "-T", str(path))

    def get(self, name, folder):
        for file in self.names(name):
            self.curl("/test/" + quote(f"{name}/{file}"), "--create-dirs", "-o", str(pathlib.Path(folder, file)))

    def _listed(self, query, element):
        text = self.curl("/test?" + query)
        assert "<IsTruncated>true" not in text
        return sorted(e.text for e in xml.fromstring(text).iter() if e.tag.rpartition("}")[2] == element)

    def names(self, name):
        return [k.removeprefix(name + "/") for k in self._listed(f"list-type=2&prefix={quote(name + '/', safe='')}", "Key")]

    def left(self, name):
        parent, _, last = name.rpartition("/")
        beside = (parent + "/" if parent else "") + f".{last}."
        return self._listed(f"list-type=2&prefix={quote(beside, safe='')}", "Key") + [f"upload of {k}" for k in self.uploads()]

    def uploads(self):
        """Keys with an upload that nobody has finished."""
        return self._listed("uploads=", "Key")


class Hdfs:
    """A cluster of its own, with two DataNodes, and a second NameNode where it is said."""

    env, format = {}, None

    def __init__(self, folder=None, on=None, pair=False, secure=False):
        """folder: of a cluster that is running already; it stays. on: the folder that its data lies in. pair: two NameNodes, nn active and nn2 its standby.
        secure: with Kerberos; `env` is that of a user with a ticket."""
        self.folder, self.own, self.secure = folder or tempfile.mkdtemp(prefix="ghee-hdfs-", dir=on), folder is None, secure
        self.run_env = {**os.environ, "HDFS_RUN": self.folder, "HDFS_PAIR": "1" if pair else "", "HDFS_SECURE": "1" if secure else ""}
        if secure:
            self.env = {"KRB5_CONFIG": f"{self.folder}/kdc/krb5.conf", "KRB5CCNAME": f"FILE:{self.folder}/kdc/user.ticket"}

    def up(self):
        """Also brings back what was killed."""
        done = subprocess.run([str(SERVICES / "hdfs" / "up")], env=self.run_env, capture_output=True, text=True)
        if done.returncode == 77:
            raise CannotInstall(done.stderr.strip())
        assert done.returncode == 0, done.stderr
        self.address = done.stdout.strip()
        self.namenodes = dict(zip(("nn", "nn2"), self.address.removeprefix("hdfs://").split(",")))

    def kill(self, *daemons):
        """nn, nn2, dn1, dn2: at once."""
        subprocess.run([str(SERVICES / "hdfs" / "down"), "-k", *daemons], env=self.run_env, check=True)

    def __enter__(self):
        try:
            self.up()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.own:
            subprocess.run([str(SERVICES / "hdfs" / "down")], env=self.run_env, check=False)
            shutil.rmtree(self.folder, ignore_errors=True)

    def admin(self, *arguments):
        """hdfs dfsadmin, of a pair hdfs haadmin."""
        return subprocess.run([str(SERVICES / "hdfs" / "admin"), *arguments], env=self.run_env, check=True, capture_output=True, text=True).stdout

    def serves(self, namenode):
        """nn or nn2: whether it runs and is active."""
        try:
            with urlopen(f"http://{self.namenodes[namenode]}/jmx?qry=Hadoop:service=NameNode,name=NameNodeStatus") as answer:
                return json.load(answer)["beans"][0]["State"] == "active"
        except OSError:
            return False

    def active(self):
        """Name of the NameNode that serves."""
        return next(name for name in self.namenodes if len(self.namenodes) == 1 or self.serves(name))

    def _fetch(self, url, method, data=None):
        if not self.secure:
            with urlopen(Request(url, data, method=method)) as answer:
                return answer.read()
        env = {**self.run_env, **self.env, "KRB5CCNAME": f"FILE:{self.folder}/kdc/hdfs.ticket"}
        body = [] if data is None else ["-H", "Expect:", "--data-binary", "@-"]
        return subprocess.run(["curl", "-sSfL", "--negotiate", "-u", ":", "-X", method, *body, url], env=env, input=data, capture_output=True, check=True).stdout

    def ask(self, method, path, op, user="root", data=None, **parameters):
        """One call of WebHDFS; of those in two steps, both. With Kerberos it is the superuser who asks."""
        query = urlencode({"op": op, "user.name": user, **parameters})
        url = f"http://{self.namenodes[self.active()]}/webhdfs/v1{quote(path)}?{query}"
        if data is not None:
            url = json.loads(self._fetch(url + "&noredirect=true", method))["Location"]
        return self._fetch(url, method, data)

    def uri(self, name):
        return f"{self.address}{';negotiate' if self.secure else ''}/test/{name}"

    def put(self, folder, name):
        for path in sorted(p for p in pathlib.Path(folder).rglob("*") if p.is_file()):
            self.ask("PUT", f"/test/{name}/{path.relative_to(folder)}", "CREATE", data=path.read_bytes())

    def get(self, name, folder):
        for file in self.names(name):
            path = pathlib.Path(folder, file)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.ask("GET", f"/test/{name}/{file}", "OPEN"))

    def _listed(self, folder):
        return [(e["pathSuffix"], e["type"]) for e in json.loads(self.ask("GET", folder, "LISTSTATUS"))["FileStatuses"]["FileStatus"]]

    def names(self, name, below=""):
        found = []
        for entry, kind in self._listed(f"/test/{name}/{below}".rstrip("/")):
            found += self.names(name, f"{below}{entry}/") if kind == "DIRECTORY" else [below + entry]
        return sorted(found)

    def left(self, name):
        parent, _, last = f"/test/{name}".rpartition("/")
        return sorted(entry for entry, _ in self._listed(parent) if entry != last)


STORAGES = {"file": File, "s3": S3, "hdfs": Hdfs}

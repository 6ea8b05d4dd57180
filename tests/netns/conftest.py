# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures: labs that are torn down whatever happens."""

import os
import pathlib
import shutil
import signal
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import lab as lab_module  # noqa: E402 (needs the path above)


def pytest_sessionstart(session):
    if os.geteuid() != 0:
        pytest.exit("the integration tests need root", returncode=4)
    # SIGTERM unwinds like ^C, so that fixtures clean up.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_sessionfinish(session, exitstatus):
    for left in list(lab_module.open_labs):
        left.close()


def labs():
    """A function that makes labs; all are closed in the end."""
    made = []

    def make(**options):
        made.append(lab_module.Lab(**options))
        return made[-1]
    yield make
    errors = []
    for each in made:
        try:
            each.close()
        except AssertionError as error:
            errors.append(str(error))
    assert not errors, "\n".join(errors)


make_lab = pytest.fixture(labs, name="make_lab")
make_module_lab = pytest.fixture(labs, scope="module", name="make_module_lab")


@pytest.fixture
def lab(make_lab):
    """Client, router, server; no route back to the LAN."""
    return make_lab()


@pytest.fixture
def routed(make_lab):
    """The same, where the server can reach the LAN without translation."""
    return make_lab(routed=True)


@pytest.fixture(scope="session")
def preload(tmp_path_factory):
    """The library that makes seldom things happen: its environment."""
    made = tmp_path_factory.mktemp("preload") / "preload.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-D_GNU_SOURCE", "-o",
                    made, lab_module.ROOT / "tests/faults/preload.c"],
                   check=True)
    return {"LD_PRELOAD": str(made)}


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Show what xctd said in a test that failed."""
    outcome = yield
    report = outcome.get_result()
    if report.when == "call" and report.failed:
        for made in lab_module.open_labs:
            if made.xctd:
                report.sections.append(("xctd", made.xctd.messages()))


@pytest.fixture
def without(tmp_path, monkeypatch):
    """Make iptables-restore refuse rules with any of some words, as it does
    where the kernel lacks something; until they are out of the directory that
    this returns. As long as there is a file "hang", it hangs, and says so by
    another, "hangs"."""
    def make(*words):
        (tmp_path / "words").write_text("".join(f"{w}\n" for w in words))
        for tool in "iptables-restore", "ip6tables-restore":
            (tmp_path / tool).write_text(f"""#!/bin/sh
rules=$(mktemp) && cat > "$rules" && trap 'rm -f "$rules"' EXIT
while [ -e {tmp_path}/hang ]; do
    : > {tmp_path}/hangs
    sleep 0.05
done
if grep -q -f {tmp_path}/words "$rules"; then
    echo "{tool}: line 3 failed: No such file or directory" >&2
    exit 1
fi
{shutil.which(tool)} "$@" < "$rules"
""")
            (tmp_path / tool).chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        return tmp_path
    return make

"""Which node a machine is, from its settings and from what launchers set."""

import pytest

from apm_exp.runtime.nodes.node_rank import Place, place
from apm_exp.runtime.nodes.slurm import first_host

TWO = {"nodes": 2, "rendezvous": "node0:29500", "node_rank": None}


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch):
    for name in ("SLURM_NODEID", "NODE_RANK", "GROUP_RANK", "SLURM_JOB_NODELIST"):
        monkeypatch.delenv(name, raising=False)


def test_one_machine_is_its_own_node_0_whatever_slurm_says(monkeypatch):
    monkeypatch.setenv("SLURM_NODEID", "3")
    assert place({"nodes": 1, "rendezvous": None, "node_rank": None}) == Place(node=0, nodes=1)


@pytest.mark.parametrize(
    ("settings", "environment", "node"),
    [
        ({"node_rank": 1}, {}, 1),
        ({}, {"SLURM_NODEID": "1"}, 1),
        ({}, {"NODE_RANK": "0"}, 0),
        ({}, {"GROUP_RANK": "1"}, 1),
        ({"node_rank": 0}, {"SLURM_NODEID": "1"}, 0),
    ],
)
def test_the_setting_wins_over_the_launcher(settings, environment, node, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert place({**TWO, **settings}) == Place(node, 2, "node0", 29500)


@pytest.mark.parametrize(
    ("settings", "environment", "message"),
    [
        ({"rendezvous": None}, {}, r"^runtime.rendezvous=null: 2 nodes must know where they meet; give runtime.rende"),
        ({"rendezvous": "node0"}, {}, r"^runtime.rendezvous=node0: not HOST:PORT; give it as node0:29500$"),
        ({"rendezvous": "node0:70000"}, {}, r"^runtime.rendezvous=node0:70000: not HOST:PORT"),
        (
            {},
            {},
            r"^runtime.node_rank=null: nor do SLURM_NODEID, .* say which node this is; give 0 on .*, 1 on the other$",
        ),
        ({"node_rank": 2}, {}, r"^runtime.node_rank=2: runtime.nodes=2 are the nodes 0 to 1; give"),
        ({}, {"SLURM_NODEID": "2"}, r"^SLURM_NODEID=2: runtime.nodes=2 are the nodes 0 to 1; give"),
        ({}, {"NODE_RANK": "one"}, r"^NODE_RANK=one: runtime.nodes=2 are the nodes 0 to 1; give"),
        ({"nodes": 1}, {}, r"^runtime.rendezvous=node0:29500: runtime.nodes=1 is this machine alone; give runtime.nod"),
        ({"nodes": 1, "rendezvous": None, "node_rank": 1}, {}, r"^runtime.node_rank=1: runtime.nodes=1 is this mach"),
    ],
)
def test_what_cannot_be_right_is_one_line(settings, environment, message, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=message) as raised:
        place({**TWO, **settings})
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("gpu7", "gpu7"),
        ("gpu7,gpu9", "gpu7"),
        ("gpu[07-09,12]", "gpu07"),
        ("gpu[3,5],cpu1", "gpu3"),
        ("rack[1-2]n.site.org", "rack1n.site.org"),
    ],
)
def test_the_first_node_of_a_slurm_job(nodes, first):
    assert first_host(nodes) == first


def test_under_slurm_the_nodes_know_where_they_meet(monkeypatch):
    for name, value in (("SLURM_JOB_NODELIST", "gpu[07-08]"), ("SLURM_JOB_ID", "1234567"), ("SLURM_NODEID", "1")):
        monkeypatch.setenv(name, value)
    assert place({**TWO, "rendezvous": None}) == Place(1, 2, "gpu07", 24567)
    assert place(TWO) == Place(1, 2, "node0", 29500)

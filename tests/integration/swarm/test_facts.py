def test_x(swarm_lab, stack):
    name = stack("l-shop")
    print(swarm_lab.api().version()["ApiVersion"])

"""What surrounds the engine in the simulation: time, processes, network, brokers and stores, all driven by one seed."""

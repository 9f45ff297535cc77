"""What is learned: the network, its losses and metrics, and the graph that Estimator trains and exports."""

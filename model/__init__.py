"""What is learned, and the promise made to clients.

`signature` and `keypoints` are the promise: standard library only, imported by the client too. The rest is the graph.
"""

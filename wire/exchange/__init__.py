"""The pure core of a simulated Korean stock exchange: no clock, no socket, no trio."""

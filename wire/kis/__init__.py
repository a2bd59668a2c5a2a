"""The codecs of the KIS (Korea Investment & Securities) open API, used by the connector and by the simulator."""

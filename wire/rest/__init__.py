"""The bodies of the REST face: names and fields as the contract (section 2) gives them.

Answers carry every field, ``null`` where there is no value; requests may leave optional fields out. Unknown fields of a
request are ignored.
"""

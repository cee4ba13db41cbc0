"""What a case looks like on disk: pcaps and YAML, byte for byte reproducible."""

import struct

import yaml


def write_pcap(path, frames):
    """`frames`: (time in ms, bytes). Classic pcap, microseconds, little endian, Ethernet."""
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for time, frame in frames:
            out.write(struct.pack("<IIII", time // 1000, time % 1000 * 1000, len(frame), len(frame)))
            out.write(frame)


def read_pcap(path):
    """The frames of a file that `write_pcap` wrote: (time in ms, bytes)."""
    data, at, frames = path.read_bytes(), 24, []
    while at < len(data):
        seconds, micros, length, _ = struct.unpack_from("<IIII", data, at)
        frames.append((seconds * 1000 + micros // 1000, data[at + 16 : at + 16 + length]))
        at += 16 + length
    return frames


class _Dumper(yaml.SafeDumper):
    """Addresses, prefixes and MACs are quoted, so that no YAML reader takes one for a number."""

    def ignore_aliases(self, _data):
        return True


def _text(dumper, value):
    quoted = any(c in value for c in ":./") and " " not in value
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style='"' if quoted else None)


_Dumper.add_representer(str, _text)


def flow(value):
    """One value on one line."""
    text = yaml.dump(value, Dumper=_Dumper, default_flow_style=True, width=10**9, sort_keys=False, allow_unicode=True)
    return text.removesuffix("...\n").strip()


def objects(items):
    """A list of API objects or keys, one a line."""
    return "".join(f"- {kind}: {flow(fields)}\n" for item in items for kind, fields in item.items())


def change(put, delete):
    """What is applied on top of the tables: one batch, the puts before the deletes."""
    text = ""
    if put:
        text += "put:\n" + objects(put)
    if delete:
        text += "delete:\n" + objects(delete)
    return text


def mapping(value):
    """A mapping, one key a line; nested ones on their key's line."""
    return "".join(f"{key}: {flow(item)}\n" for key, item in value.items())

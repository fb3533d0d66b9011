"""What the generated pages of docs/reference are made from: `python -m docs.generate`."""

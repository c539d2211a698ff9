"""Avro on the wire: values in Avro become the JSON stream records that they say, before any other step looks at them."""

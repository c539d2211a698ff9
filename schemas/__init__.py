"""The words of Headwater: what a stream record and a row of the lake are. No I/O."""

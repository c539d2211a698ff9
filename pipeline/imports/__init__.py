"""Import of archives: files of events, whatever wrote them, become stream records in raw-events, each file once for ever."""

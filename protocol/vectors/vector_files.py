def document():
    return {"about":"x","good":[],"bad":[]}

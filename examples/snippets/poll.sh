# Reads the history of the topic. The response ends with a "cursor": pass it as since=, and wait up to 30 s for newer messages.
cursor=$(curl -s localhost:7400/topics/chat.lobby | sed 's/.*"cursor":"\([^"]*\)".*/\1/')
curl "localhost:7400/topics/chat.lobby?since=$cursor&wait=30"

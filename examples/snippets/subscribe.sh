# Prints each new message of the topic, until you press Ctrl-C.
curl -N -H 'Accept: text/event-stream' localhost:7400/topics/chat.lobby

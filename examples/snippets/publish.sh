# Publishes a text to a topic. The answer says how many subscribers it went to.
curl -d 'hello' -H 'Content-Type: text/plain' localhost:7400/topics/chat.lobby

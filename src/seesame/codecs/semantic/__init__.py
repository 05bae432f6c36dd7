"""The semantic codec: masks, a shared renderer that draws them, a code a pair for the pose."""
